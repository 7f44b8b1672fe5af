package outbox_test

import (
	"fmt"
	"io/fs"

	"github.com/riverhook/riverhook/outbox"
)

// With goose:
//
//	provider, err := goose.NewProvider(goose.DialectPostgres, db, files)
//
// Give Riverhook's migrations a version table of their own, or copy the files
// and number them as yours.
func ExampleMigrationFS() {
	files, err := outbox.MigrationFS(&outbox.MigrationFSOpts{Format: outbox.FormatGoose})
	if err != nil {
		panic(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		panic(err)
	}
	fmt.Println(names[0])
	fmt.Println(names[len(names)-1])

	// Output:
	// 0001_riverhook_schema.sql
	// 0010_riverhook_initial.sql
}
