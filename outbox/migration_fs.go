package outbox

import (
	"cmp"
	"fmt"
	"io/fs"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

// MigrationFormat is the form of the files of [MigrationFS].
type MigrationFormat string

// The formats of migrations.
const (
	// FormatGolangMigrate has two files for each migration:
	// 0001_riverhook_schema.up.sql and 0001_riverhook_schema.down.sql.
	FormatGolangMigrate MigrationFormat = "golang-migrate"

	// FormatGoose has one file for each migration, with goose's annotations:
	// 0001_riverhook_schema.sql.
	FormatGoose MigrationFormat = "goose"

	// FormatPlain has one file for each migration, only upward:
	// 0001_riverhook_schema.sql. It is for atlas and for psql.
	FormatPlain MigrationFormat = "plain"
)

// MigrationFSOpts are options of [MigrationFS].
type MigrationFSOpts struct {
	// Format of the files. Empty: FormatGoose.
	Format MigrationFormat

	// Schema is as in MigrateOpts. Empty: "riverhook".
	Schema string
}

// MigrationFS returns what [Migrate] does as files in the root of a file
// system, for people who let a tool of their own run all migrations. Run all of
// them in the order of their names, each in its own transaction; they leave the
// records that Migrate leaves too, so that either can go on where the other
// stopped. Names and content of a file never change once it was released; later
// versions of the library add files behind.
//
// It is an error where the program is built with a River that has migrations
// which this version of Riverhook does not know: then use Migrate, or update
// Riverhook.
func MigrationFS(opts *MigrationFSOpts) (fs.FS, error) {
	var o MigrationFSOpts
	if opts != nil {
		o = *opts
	}
	o.Format = cmp.Or(o.Format, FormatGoose)
	o.Schema = cmp.Or(o.Schema, store.DefaultSchema)
	if err := store.CheckSchema(o.Schema); err != nil {
		return nil, fmt.Errorf("outbox: MigrationFSOpts.Schema: %w", err)
	}
	render, known := map[MigrationFormat]func(migration.Script, map[string]string){
		FormatGolangMigrate: renderGolangMigrate,
		FormatGoose:         renderGoose,
		FormatPlain:         renderPlain,
	}[o.Format]
	if !known {
		return nil, fmt.Errorf("outbox: MigrationFSOpts.Format: %q is not one of %q, %q, %q",
			o.Format, FormatGolangMigrate, FormatGoose, FormatPlain)
	}
	scripts, err := migration.Scripts(o.Schema)
	if err != nil {
		return nil, fmt.Errorf("outbox: migration files: %w", err)
	}
	files := map[string]string{}
	for _, script := range scripts {
		render(script, files)
	}
	return newFileSystem(files)
}

func renderGolangMigrate(s migration.Script, files map[string]string) {
	files[s.Name+".up.sql"] = s.Up
	files[s.Name+".down.sql"] = s.Down
}

func renderGoose(s migration.Script, files map[string]string) {
	const begin, end = "-- +goose StatementBegin\n", "-- +goose StatementEnd\n"
	files[s.Name+".sql"] = "-- +goose Up\n" + begin + s.Up + end + "\n-- +goose Down\n" + begin + s.Down + end
}

func renderPlain(s migration.Script, files map[string]string) {
	files[s.Name+".sql"] = s.Up
}
