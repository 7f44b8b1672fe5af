package outbox

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// newFileSystem returns files, by name, as a read-only file system. A zip
// archive in memory is one that the standard library has complete.
func newFileSystem(files map[string]string) (fs.FS, error) {
	var buf bytes.Buffer
	archive := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, err := archive.Create(name)
		if err != nil {
			return nil, fmt.Errorf("outbox: migration files: %w", err)
		}
		if _, err := io.WriteString(file, files[name]); err != nil {
			return nil, fmt.Errorf("outbox: migration files: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("outbox: migration files: %w", err)
	}
	return zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
}
