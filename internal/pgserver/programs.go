package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// programs is a folder with PostgreSQL server programs.
type programs struct {
	dir   string
	major int
}

// startPrograms starts a private cluster of the newest server programs here. A
// version that does not start leaves its turn to the next older one.
func (m *machine) startPrograms(ctx context.Context, opts *Opts) (*Server, error) {
	found := m.findPrograms(ctx)
	if len(found) == 0 {
		return nil, fmt.Errorf("no initdb and postgres in PATH, pg_config --bindir, %s", strings.Join(m.binGlobs, ", "))
	}
	var errs []error
	for _, programs := range found {
		server, err := m.startCluster(ctx, opts, programs.dir, "private cluster of "+programs.dir)
		if err == nil {
			return server, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// findPrograms returns the folders that have the server programs, the newest
// major version first, and of one version in the order of preference.
func (m *machine) findPrograms(ctx context.Context) []programs {
	dirs := filepath.SplitList(m.getenv("PATH"))
	for _, dir := range slices.Clone(dirs) {
		if file := executable(dir, "pg_config"); file != "" {
			if out, err := exec.CommandContext(ctx, file, "--bindir").Output(); err == nil { //nolint:gosec // the pg_config in PATH
				dirs = append(dirs, strings.TrimSpace(string(out)))
			}
		}
	}
	for _, glob := range m.binGlobs {
		matches, err := filepath.Glob(glob)
		if err == nil {
			dirs = append(dirs, matches...)
		}
	}

	var found []programs
	for _, dir := range dirs {
		postgres := executable(dir, "postgres")
		if postgres == "" || executable(dir, "initdb") == "" {
			continue
		}
		// A link in PATH leads to the folder that the programs belong to.
		if file, err := filepath.EvalSymlinks(postgres); err == nil && executable(filepath.Dir(file), "initdb") != "" {
			dir = filepath.Dir(file)
		}
		if slices.ContainsFunc(found, func(p programs) bool { return p.dir == dir }) {
			continue
		}
		out, err := exec.CommandContext(ctx, postgres, "--version").Output() //nolint:gosec // the postgres of a folder of Postgres
		if err != nil {
			continue
		}
		if major := majorVersion(string(out)); major > 0 {
			found = append(found, programs{dir: dir, major: major})
		}
	}
	slices.SortStableFunc(found, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	return found
}

var versionNumber = regexp.MustCompile(`\d+`)

// majorVersion reads what `postgres --version` prints, such as
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"; 0 is no version.
func majorVersion(version string) int {
	_, number, _ := strings.Cut(version, "(PostgreSQL)")
	major, _ := strconv.Atoi(versionNumber.FindString(number))
	return major
}

// executable returns the path of the program in dir, "" if it cannot be run.
func executable(dir, name string) string {
	file, err := exec.LookPath(filepath.Join(dir, name))
	if err != nil || dir == "" {
		return ""
	}
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return ""
	}
	return file
}
