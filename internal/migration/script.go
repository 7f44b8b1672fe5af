package migration

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/riverhook/riverhook/internal/store"
)

// lineAdded is River's migration that gives its table of versions a column for
// the line of migrations, of which "main" is the one that has tables.
const lineAdded = 5

// Script is a migration in the form in which another tool can run it: SQL with
// the schema's name in it, which also records that it ran.
type Script struct {
	Name     string // with a number in front: the order
	Up, Down string
}

func (l *library) scripts(schema string) ([]Script, error) {
	river, err := RiverSteps()
	if err != nil {
		return nil, err
	}
	if last := river[len(river)-1].Version; last > RiverVersion {
		return nil, fmt.Errorf("this program's River has migrations up to %d, of which this version of riverhook knows %d",
			last, RiverVersion)
	}
	ours, err := l.all()
	if err != nil {
		return nil, err
	}
	scripts := []Script{{
		Name: "0001_riverhook_schema",
		Up:   fmt.Sprintf("CREATE SCHEMA IF NOT EXISTS %q;\n", schema),
		Down: fmt.Sprintf("DROP SCHEMA IF EXISTS %q;\n", schema),
	}}
	for i, release := range l.releases {
		var script Script
		if release.river {
			script = riverScript(river[release.version-1])
		} else {
			script = ourScript(ours[release.version-1])
		}
		scripts = append(scripts, Script{
			Name: fmt.Sprintf("%04d_%s", i+2, script.Name),
			Up:   store.Render(script.Up, schema),
			Down: store.Render(script.Down, schema),
		})
	}
	return scripts, nil
}

func riverScript(step Step) Script {
	const table = "/* TEMPLATE: schema */river_migration"
	script := Script{Name: "river_" + step.Name}
	if step.Version < lineAdded {
		script.Up = fmt.Sprintf("INSERT INTO %s (version) VALUES (%d);\n", table, step.Version)
	} else {
		script.Up = fmt.Sprintf("INSERT INTO %s (line, version) VALUES ('main', %d);\n", table, step.Version)
	}
	if step.Version > 1 { // the first makes the table
		script.Down = fmt.Sprintf("DELETE FROM %s WHERE version = %d;\n", table, step.Version)
	}
	script.Up = terminated(step.Up) + "\n" + script.Up
	script.Down = terminated(step.Down) + script.Down
	return script
}

func ourScript(step Step) Script {
	const table = "/* TEMPLATE: schema */migration"
	minClient := "NULL"
	if step.minClient != 0 {
		minClient = strconv.Itoa(int(step.minClient))
	}
	script := Script{
		Name: "riverhook_" + step.Name,
		Up:   terminated(step.Up) + fmt.Sprintf("\nINSERT INTO %s (version, min_client) VALUES (%d, %s);\n", table, step.Version, minClient),
		Down: terminated(step.Down),
	}
	if step.Version > 1 { // the first makes the table
		script.Down += fmt.Sprintf("\nDELETE FROM %s WHERE version = %d;\n", table, step.Version)
	}
	return script
}

// terminated is SQL that other statements can follow.
func terminated(sql string) string {
	sql = strings.TrimRight(sql, " \n")
	if !strings.HasSuffix(sql, ";") {
		sql += ";"
	}
	return sql + "\n"
}
