//go:build interop

package pgtest

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPgBouncer_GivesOutConnectionsByTransaction(t *testing.T) {
	t.Parallel()
	bouncer := StartPgBouncer(t, EmptyDatabase(t), map[string]string{"default_pool_size": "1"})
	require.Regexp(t, `^1\.\d+`, bouncer.Version)
	var pids [2]int
	for i := range pids {
		conn, err := pgx.Connect(t.Context(), bouncer.URL)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT pg_backend_pid()", pgx.QueryExecModeExec).Scan(&pids[i]))
	}
	require.Equal(t, pids[0], pids[1], "two connections that share one")
	servers, err := bouncer.Show(t.Context(), "SERVERS")
	require.NoError(t, err)
	require.Len(t, servers, 1)
}

func TestPgBouncer_KnowsWhatIsOlderThan121(t *testing.T) {
	t.Parallel()
	for version, older := range map[string]bool{
		"1.9.0": true, "1.18.0": true, "1.20.1": true, "1.21.0": false, "1.24.1": false, "2.0.0": false,
	} {
		require.Equal(t, older, olderThan121(version), version)
	}
}
