package outbox

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestEraseSQL_GoesWithTheTransactionOfEachDriver(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{"pgx": "pgx", "lib/pq": "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open(driver, pgtest.Database(t))
			require.NoError(t, err)
			defer db.Close()
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = EnqueueManySQL(t.Context(), tx, []Intent{valid(), named("x")})
			require.NoError(t, err)

			erased, err := EraseSQL(t.Context(), tx, valid().Resource)

			require.NoError(t, err)
			require.Equal(t, Erased{Intents: 2}, erased)
			require.NoError(t, tx.Commit())
			var left int
			require.NoError(t, db.QueryRow(`SELECT count(*) FROM riverhook.intent WHERE data IS NOT NULL`).Scan(&left))
			require.Zero(t, left)

			strict, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
			require.NoError(t, err)
			_, err = EraseSQL(t.Context(), strict, valid().Resource)
			require.ErrorIs(t, err, ErrIsolation)
			require.NoError(t, strict.Commit())
			_, err = EraseSQL(t.Context(), nil, valid().Resource)
			require.ErrorContains(t, err, "transaction is nil")
		})
	}
}

func TestErase_OneThatIsRefusedLeavesTheTransactionUsable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		resource access.Resource
		options  pgx.TxOptions
		text     string
	}{
		"no kind":         {access.Resource{ID: "1"}, pgx.TxOptions{}, "needs both a kind and an id"},
		"no id":           {access.Resource{Kind: "user"}, pgx.TxOptions{}, "needs both a kind and an id"},
		"a bad kind":      {access.Resource{Kind: "\xff", ID: "1"}, pgx.TxOptions{}, "kind must be valid UTF-8"},
		"a bad id":        {access.Resource{Kind: "user", ID: "\x00"}, pgx.TxOptions{}, "id must not hold NUL"},
		"repeatable read": {valid().Resource, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, "READ COMMITTED only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tx, err := pgtest.Pool(t).BeginTx(t.Context(), c.options)
			require.NoError(t, err)
			_, err = Enqueue(t.Context(), tx, valid())
			require.NoError(t, err)

			_, err = Erase(t.Context(), tx, c.resource)

			require.ErrorContains(t, err, "outbox: erase: ")
			require.ErrorContains(t, err, c.text)
			require.NoError(t, tx.Commit(t.Context()))
		})
	}
	_, err := Erase(t.Context(), nil, valid().Resource)
	require.ErrorContains(t, err, "transaction is nil")
}

func TestErase_OnlyTheResourceIsErased(t *testing.T) {
	t.Parallel()
	b := setup(t)
	kept := []Intent{named("no resource"), named("another kind"), named("another id")}
	kept[0].ID, kept[0].Resource = "none", access.Resource{}
	kept[1].ID, kept[1].Resource.Kind = "kind", "office"
	kept[2].ID, kept[2].Resource.ID = "id", "43"
	_, err := b.client.EnqueueMany(t.Context(), b.tx, append(kept, valid()))
	require.NoError(t, err)

	erased, err := b.client.Erase(t.Context(), b.tx, valid().Resource)

	require.NoError(t, err)
	require.Equal(t, Erased{Intents: 1}, erased)
	var left int
	counted := b.tx.QueryRow(t.Context(), `SELECT count(*) FROM riverhook.intent WHERE data IS NOT NULL AND digest IS NOT NULL`)
	require.NoError(t, counted.Scan(&left))
	require.Equal(t, 3, left)
}

func TestErase_NeedsARightOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	role := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_eraser"}.Sanitize()
	_, err := b.tx.Exec(t.Context(), `CREATE ROLE `+role+`; GRANT USAGE ON SCHEMA riverhook TO `+role+`;
		GRANT EXECUTE ON FUNCTION riverhook.enqueue_one TO `+role)
	require.NoError(t, err)
	as := func(tx pgx.Tx, do func() error) error {
		_, err := tx.Exec(t.Context(), `SET LOCAL ROLE `+role)
		require.NoError(t, err)
		return do()
	}
	err = pgx.BeginFunc(t.Context(), b.tx, func(tx pgx.Tx) error {
		return as(tx, func() error {
			_, err := b.client.Erase(t.Context(), tx, valid().Resource)
			return err
		})
	})
	require.ErrorContains(t, err, `outbox: erase: the role needs USAGE on schema "riverhook" and EXECUTE on the function erase`)

	_, err = b.tx.Exec(t.Context(), `GRANT EXECUTE ON FUNCTION riverhook.erase TO `+role)
	require.NoError(t, err)
	require.NoError(t, as(b.tx, func() error {
		_, err := b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
		erased, err := b.client.Erase(t.Context(), b.tx, valid().Resource)
		require.Equal(t, Erased{Intents: 1}, erased)
		return err
	}))
}

func TestSQLFunction_Erases(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	var intents int
	require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT intents FROM riverhook.erase('user', '42')`).Scan(&intents))
	require.Equal(t, 1, intents)
	var refused string
	require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT refused FROM riverhook.erase('user', '')`).Scan(&refused))
	require.Equal(t, "resource", refused)
}
