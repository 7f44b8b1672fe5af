//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// startEmbedded downloads server programs and starts a private cluster of them.
// They live in the cluster's folder and go with it; the downloaded archive
// stays in the cache of embedded-postgres (~/.embedded-postgres-go).
func (m *machine) startEmbedded(ctx context.Context, opts *Opts) (*Server, error) {
	if !m.download {
		return nil, errors.New("may not download")
	}
	account, err := m.serverAccount()
	if err != nil {
		return nil, err
	}
	folder, err := m.makeFolder(account, m.tempDirs)
	if err != nil {
		return nil, err
	}
	binDir, err := m.fetchPrograms(ctx, folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	what := fmt.Sprintf("private cluster of embedded-postgres %s", embeddedpostgres.V18)
	return m.startClusterIn(ctx, opts, folder, binDir, what)
}

// fetchPrograms lets embedded-postgres download and unpack the programs. It can
// do so only on the way to a server of its own, which is of no use to us: it
// does not start as root and would outlive a program that is killed. So that
// server is stopped, or did not start, and the programs are what counts.
func (m *machine) fetchPrograms(ctx context.Context, folder string) (string, error) {
	port, err := m.freePort()
	if err != nil {
		return "", err
	}
	cfg := embeddedpostgres.DefaultConfig().
		Version(embeddedpostgres.V18).
		Port(uint32(port)).
		BinariesPath(filepath.Join(folder, "programs")).
		RuntimePath(filepath.Join(folder, "runtime")).
		Logger(io.Discard)
	if m.repository != "" {
		cfg = cfg.BinaryRepositoryURL(m.repository).CachePath(filepath.Join(folder, "cache"))
	}
	fetched := make(chan error, 1)
	go func() {
		embedded := embeddedpostgres.NewDatabase(cfg)
		err := embedded.Start()
		if err == nil {
			err = embedded.Stop()
		}
		removeLogs()
		runtime.KeepAlive(embedded) // and with it its log's descriptor
		fetched <- err
	}()
	select {
	case err = <-fetched:
	case <-ctx.Done():
		return "", fmt.Errorf("download: %w", ctx.Err())
	}
	binDir := filepath.Join(folder, "programs", "bin")
	if executable(binDir, "postgres") == "" || executable(binDir, "initdb") == "" {
		return "", fmt.Errorf("download: %w", err)
	}
	return binDir, nil
}

// removeLogs removes the logs that embedded-postgres leaves in the temporary
// folder. Those of this process are known by its open files, where the system
// lists them by name, as Linux does.
func removeLogs() {
	const fds = "/proc/self/fd"
	open, err := os.ReadDir(fds)
	if err != nil {
		return
	}
	for _, fd := range open {
		name, err := os.Readlink(filepath.Join(fds, fd.Name()))
		if err == nil && strings.HasPrefix(filepath.Base(name), "embedded_postgres_log") {
			_ = os.Remove(name) // a log that is left does no harm
		}
	}
}
