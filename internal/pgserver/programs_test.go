package pgserver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMajorVersion_IsReadFromWhatAProgramSays(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{
		"":           0,
		"garbage 12": 0,
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres (PostgreSQL) 18beta1":                          18,
	} {
		require.Equal(t, want, majorVersion(version), version)
	}
}

func TestFindPrograms_ReturnsTheNewestMajorVersionFirst(t *testing.T) {
	t.Parallel()

	// install makes server programs that tell their version and do nothing else.
	install := func(t *testing.T, dir, version string) string {
		t.Helper()
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for name, script := range map[string]string{
			"initdb":   "echo initdb says no >&2; exit 1",
			"postgres": "echo 'postgres (PostgreSQL) " + version + "'",
		} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		}
		return dir
	}
	setup := func(t *testing.T) (*machine, string) {
		t.Helper()
		root := clusterFolder(t)
		m := bareMachine(clusterFolder(t))
		m.binGlobs = []string{filepath.Join(root, "lib/*/bin")}
		m.getenv = env(map[string]string{"PATH": filepath.Join(root, "path")})
		return m, root
	}

	t.Run("ReturnsTheNewestMajorVersionFirst", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		nine := install(t, filepath.Join(root, "lib/9.6/bin"), "9.6.24")
		seventeen := install(t, filepath.Join(root, "lib/17/bin"), "17.2")
		sixteen := install(t, filepath.Join(root, "path"), "16.1")
		require.Equal(t, []programs{{seventeen, 17}, {sixteen, 16}, {nine, 9}}, m.findPrograms(t.Context()))
	})

	t.Run("AsksPgConfig", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		bin := install(t, filepath.Join(root, "elsewhere"), "16.1")
		require.NoError(t, os.MkdirAll(filepath.Join(root, "path"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "path/pg_config"), []byte("#!/bin/sh\necho "+bin+"\n"), 0o755))
		require.Equal(t, []programs{{bin, 16}}, m.findPrograms(t.Context()))
	})

	t.Run("FollowsLinksAndNamesAFolderOnce", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		bin := install(t, filepath.Join(root, "lib/16/bin"), "16.1")
		require.NoError(t, os.MkdirAll(filepath.Join(root, "path"), 0o755))
		for _, name := range []string{"initdb", "postgres"} {
			require.NoError(t, os.Symlink(filepath.Join(bin, name), filepath.Join(root, "path", name)))
		}
		require.Equal(t, []programs{{bin, 16}}, m.findPrograms(t.Context()))
	})

	t.Run("PassesOverFoldersWithoutAServer", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		require.NoError(t, os.Remove(filepath.Join(install(t, filepath.Join(root, "lib/16/bin"), "16.1"), "initdb")))
		install(t, filepath.Join(root, "lib/17/bin"), "x")
		require.Empty(t, m.findPrograms(t.Context()))
	})

	t.Run("ProgramsThatFailAreNamedWithWhatTheySaidAndLeaveNothing", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		bin := install(t, filepath.Join(root, "lib/17/bin"), "17.2")
		_, err := startFirst(t.Context(), nil, sources(m))
		require.ErrorIs(t, err, ErrNoServer)
		require.ErrorContains(t, err, filepath.Join(bin, "initdb"))
		require.ErrorContains(t, err, "initdb says no")
		entries, err := os.ReadDir(m.tempDirs[0])
		require.NoError(t, err)
		require.Empty(t, entries)
	})

	t.Run("AnOlderVersionHasItsTurnWhenTheNewestDoesNotStart", func(t *testing.T) {
		t.Parallel()
		m, root := setup(t)
		install(t, filepath.Join(root, "lib/99/bin"), "99.1")
		m.binGlobs = append(m.binGlobs, thisMachine().binGlobs...)
		m.getenv = env(map[string]string{"PATH": os.Getenv("PATH")})
		server, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		require.NotContains(t, server.Source(), root)
	})
}
