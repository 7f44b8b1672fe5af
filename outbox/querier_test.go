package outbox

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// wrapped is what a library built on database/sql passes on: no *sql.Tx.
type wrapped struct{ tx *sql.Tx }

func (w wrapped) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return w.tx.QueryContext(ctx, query, args...)
}

// embedded is how sqlx and bun make their pools.
type embedded struct{ *sql.DB }

func TestQuerier_AnyTransactionThatQueries(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", pgtest.Database(t))
	require.NoError(t, err)
	defer db.Close()
	client, err := New(nil)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	in := valid()
	_, err = client.EnqueueSQL(t.Context(), wrapped{tx}, in)
	require.NoError(t, err)
	_, err = client.EnqueueManySQL(t.Context(), wrapped{tx}, []Intent{in, in})
	require.NoError(t, err)
	got, err := client.EraseSQL(t.Context(), wrapped{tx}, in.Resource)
	require.NoError(t, err)
	require.Equal(t, 3, got.Intents)
	require.NoError(t, tx.Rollback())
}

func TestQuerier_PoolOrNilIsRefused(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", pgtest.Database(t))
	require.NoError(t, err)
	defer db.Close()
	client, err := New(nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		tx   Querier
		want string
	}{
		"a pool":               {db, "the transaction is a pool: begin a transaction and pass that"},
		"what embeds a pool":   {embedded{db}, "the transaction is a pool: begin a transaction and pass that"},
		"nil":                  {nil, "the transaction is nil"},
		"a nil *sql.Tx":        {(*sql.Tx)(nil), "the transaction is nil"},
		"a nil pool":           {(*sql.DB)(nil), "the transaction is nil"},
		"a nil pointer within": {(*wrapped)(nil), "the transaction is nil"},
	} {
		_, err := client.EnqueueSQL(t.Context(), c.tx, valid())
		require.EqualError(t, err, "outbox: enqueue: "+c.want, name)
		_, err = client.EnqueueManySQL(t.Context(), c.tx, []Intent{valid()})
		require.EqualError(t, err, "outbox: enqueue: "+c.want, name)
		_, err = client.EraseSQL(t.Context(), c.tx, access.Resource{Kind: "user", ID: "42"})
		require.EqualError(t, err, "outbox: erase: "+c.want, name)
	}
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM riverhook.intent").Scan(&n))
	require.Zero(t, n)
}
