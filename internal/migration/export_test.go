package migration

import (
	"context"
	"io/fs"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

// Library is exported for tests of several versions.
type Library = library

// Current is this version of the library.
func Current() *Library { return &current }

// Later is a version of the library with one more step, whose files it adds. The
// schema at its version works with clients of minClient; 0: with its own only.
func Later(name string, minClient int32, added map[string]string) (*Library, error) {
	files := fstest.MapFS{}
	err := fs.WalkDir(current.files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(current.files, path)
		files[path] = &fstest.MapFile{Data: text}
		return err
	})
	for path, text := range added {
		files[path] = &fstest.MapFile{Data: []byte(text)}
	}
	later := library{files: files}
	later.steps = append(append(later.steps, current.steps...), stepRow{name: name, minClient: minClient})
	later.releases = append(append(later.releases, current.releases...), release{version: len(later.steps)})
	return &later, err
}

func (l *library) Up(ctx context.Context, pool *pgxpool.Pool) error {
	return l.up(ctx, pool, store.DefaultSchema)
}

func (l *library) Down(ctx context.Context, pool *pgxpool.Pool, target int) error {
	return l.down(ctx, pool, store.DefaultSchema, target)
}

func (l *library) Check(ctx context.Context, pool *pgxpool.Pool) error {
	return l.check(ctx, pool, store.DefaultSchema)
}

func (l *library) Scripts() ([]Script, error) { return l.scripts(store.DefaultSchema) }

func (l *library) Steps() ([]Step, error) { return l.all() }

// FunctionText is the text of a function as of version 1.
func FunctionText(name string) (string, error) {
	text, err := fs.ReadFile(current.files, functionFolder+"/"+name+".1.sql")
	return string(text), err
}
