package outbox

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a migrated database, a client and a transaction in it.
type bench struct {
	client *Client
	pool   *pgxpool.Pool
	tx     pgx.Tx
}

func setup(t *testing.T) *bench {
	t.Helper()
	pool := pgtest.Pool(t)
	client, err := New(nil)
	require.NoError(t, err)
	return &bench{
		client: client,
		pool:   pool,
		tx:     begin(t, pool),
	}
}

// begin returns a transaction that is rolled back when the test ends.
func begin(t *testing.T, db interface {
	Begin(ctx context.Context) (pgx.Tx, error)
},
) pgx.Tx {
	t.Helper()
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func valid() Intent {
	return Intent{
		Type:     "user.created",
		Site:     "/noaa/nws/oun",
		Resource: access.Resource{Kind: "user", ID: "42"},
		Data:     map[string]int{"n": 1},
	}
}

// count returns the numbers of intents, of their states and of jobs.
func count(t *testing.T, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) [3]int {
	t.Helper()
	var n [3]int
	require.NoError(t, db.QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM riverhook.intent), (SELECT count(*) FROM riverhook.intent_state), (SELECT count(*) FROM riverhook.river_job)`,
	).Scan(&n[0], &n[1], &n[2]))
	return n
}
