package migration

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Step is one migration. Its texts are templates for [store.Render].
type Step struct {
	Version  int
	Name     string
	Up, Down string

	minClient int32 // the lowest version of this library that works with it; 0: only its own and later ones
}

// A library is what one version of this library knows of the schema. Programs have
// one, which is current; tests have a later one beside it.
type library struct {
	files    fs.FS     // NNN_name.up.sql and NNN_name.down.sql of each step, and the texts of functions
	steps    []stepRow // the first is the step to version 1
	releases []release
}

type stepRow struct {
	name      string
	minClient int32
}

// A release is a migration of River's or of ours.
type release struct {
	river   bool
	version int
}

// version is that of the schema that the library was written for.
func (l *library) version() int { return len(l.steps) }

// all returns our migrations, from the first to the last. A step changes tables and
// views first, and functions last; it is undone in the same order, because what
// it adds to a table can use a function that it adds, such as a trigger.
func (l *library) all() ([]Step, error) {
	functions, err := readFunctions(l.files)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		if last := f.texts[len(f.texts)-1].version; last > l.version() {
			return nil, fmt.Errorf("function %s: there is no step to version %d", f.name, last)
		}
	}
	steps := make([]Step, 0, len(l.steps))
	for i, row := range l.steps {
		step := Step{
			Version:   i + 1,
			Name:      row.name,
			minClient: row.minClient,
		}
		for suffix, text := range map[string]*string{"up": &step.Up, "down": &step.Down} {
			sql, err := fs.ReadFile(l.files, fmt.Sprintf("%03d_%s.%s.sql", step.Version, step.Name, suffix))
			if err != nil {
				return nil, err
			}
			*text = string(sql)
		}
		var up, down []string
		for _, f := range functions {
			if sql := f.up(step.Version); sql != "" {
				up = append(up, sql)
			}
			if sql := f.down(step.Version); sql != "" {
				down = append(down, sql)
			}
		}
		slices.Reverse(down)
		step.Up = joined(step.Up, up)
		step.Down = joined(step.Down, down)
		steps = append(steps, step)
	}
	return steps, nil
}

// joined is SQL with more behind it.
func joined(sql string, more []string) string {
	if len(more) == 0 {
		return sql
	}
	return terminated(sql) + "\n" + strings.Join(more, "\n")
}
