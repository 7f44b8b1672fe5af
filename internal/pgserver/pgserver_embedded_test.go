package pgserver

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEmbedded_SaysThatTheDownloadFailedAndLeavesNothing(t *testing.T) {
	t.Parallel()
	repository := httptest.NewServer(http.NotFoundHandler())
	defer repository.Close()
	folder := clusterFolder(t)
	m := bareMachine(folder)
	m.binGlobs = nil
	m.download = true
	m.repository = repository.URL
	m.getenv = env(nil)

	logs := filepath.Join(os.TempDir(), "embedded_postgres_log*")
	before, err := filepath.Glob(logs)
	require.NoError(t, err)
	_, err = startFirst(t.Context(), nil, sources(m))
	require.ErrorIs(t, err, ErrNoServer)
	require.ErrorContains(t, err, "embedded-postgres: download: ")
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, entries)
	if runtime.GOOS == "linux" {
		after, err := filepath.Glob(logs)
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}
