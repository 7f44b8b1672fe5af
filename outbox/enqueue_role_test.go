package outbox

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// Roles are made in a transaction that is rolled back: they belong to the
// whole server.

func TestRole_OneThatMayOnlyEnqueueIsToldWhatItLacks(t *testing.T) {
	t.Parallel()

	setupRole := func(t *testing.T, grants string) *bench {
		t.Helper()
		b := setup(t)
		producer := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_producer"}.Sanitize()
		_, err := b.tx.Exec(t.Context(), strings.ReplaceAll(`CREATE ROLE producer; `+grants+`; SET LOCAL ROLE producer`, "producer", producer))
		require.NoError(t, err)
		return b
	}
	const enough = `GRANT USAGE ON SCHEMA riverhook TO producer;
		GRANT EXECUTE ON FUNCTION riverhook.enqueue_one, riverhook.enqueue_batch, riverhook.enqueue TO producer`

	t.Run("can enqueue with USAGE and EXECUTE", func(t *testing.T) {
		t.Parallel()
		b := setupRole(t, enough)
		_, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), named("x")})
		require.NoError(t, err)
		res, err := b.client.Enqueue(t.Context(), b.tx, named("x"))
		require.NoError(t, err)
		require.True(t, res.Duplicate)
		other := named("x")
		other.Data = "other"
		_, err = b.client.Enqueue(t.Context(), b.tx, other)
		require.ErrorIs(t, err, ErrIDConflict)
		_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('user.created', '{}')")
		require.NoError(t, err)
		_, err = b.tx.Exec(t.Context(), "RESET ROLE")
		require.NoError(t, err)
		require.Equal(t, [3]int{3, 3, 3}, count(t, b.tx))
	})

	for _, statement := range []string{
		"SELECT * FROM riverhook.intent",
		"SELECT * FROM riverhook.river_job",
		"DELETE FROM riverhook.intent_state",
		"SELECT riverhook.new_id()",
	} {
		t.Run("cannot run "+statement, func(t *testing.T) {
			t.Parallel()
			b := setupRole(t, enough)
			_, err := b.tx.Exec(t.Context(), statement)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr)
			require.Equal(t, insufficientPrivilege, pgErr.Code)
		})
	}

	for name, grants := range map[string]string{
		"nothing":    "SELECT",
		"only USAGE": "GRANT USAGE ON SCHEMA riverhook TO producer",
	} {
		t.Run("is told what it lacks when it has "+name, func(t *testing.T) {
			t.Parallel()
			b := setupRole(t, grants)
			_, err := b.client.Enqueue(t.Context(), b.tx, valid())
			require.ErrorContains(t, err, `needs USAGE on schema "riverhook" and EXECUTE`)
			require.NotErrorIs(t, err, ErrNotMigrated)
		})
	}

	t.Run("is told so also by the savepoint that it used", func(t *testing.T) {
		t.Parallel()
		b := setupRole(t, "SELECT")
		err := pgx.BeginFunc(t.Context(), b.tx, func(tx pgx.Tx) error {
			_, err := b.client.Enqueue(t.Context(), tx, valid())
			return err
		})
		require.ErrorContains(t, err, "EXECUTE")
		_, err = b.tx.Exec(t.Context(), "SELECT")
		require.NoError(t, err)
	})
}

// What the client has judged is judged again only for a role that could not insert what it
// likes without the function.
func TestRole_OneThatMayOnlyEnqueueIsJudgedByTheDatabase(t *testing.T) {
	t.Parallel()
	outcomes := func(t *testing.T, b *bench, checked string) (all []string) {
		t.Helper()
		rows, err := b.tx.Query(t.Context(), strings.ReplaceAll(`
			SELECT outcome FROM riverhook.enqueue_one(
				NULL, 'user', '/', '', '', '', '', '', '{}', 0, '{}', NULL, NULL, NULL, NULL, 9, checked, false)
			UNION ALL
			SELECT outcome FROM riverhook.enqueue_batch('[{"type": "user", "data": "{}"}]', NULL, 9, checked, false)`, "checked", checked))
		require.NoError(t, err)
		all, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return all
	}

	t.Run("one that may insert is believed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Equal(t, []string{"inserted", "inserted"}, outcomes(t, b, "true"))
		for _, unsaid := range []string{"false", "NULL"} {
			require.Equal(t, []string{"invalid", "invalid"}, outcomes(t, b, unsaid))
		}
	})

	t.Run("one that may not is not", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		producer := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_judged"}.Sanitize()
		_, err := b.tx.Exec(t.Context(), strings.ReplaceAll(`CREATE ROLE producer; GRANT USAGE ON SCHEMA riverhook TO producer;
			GRANT EXECUTE ON FUNCTION riverhook.enqueue_one, riverhook.enqueue_batch TO producer;
			SET LOCAL SESSION AUTHORIZATION producer`, "producer", producer))
		require.NoError(t, err)
		require.Equal(t, []string{"invalid", "invalid"}, outcomes(t, b, "true"))
		_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), named("x")})
		require.NoError(t, err)
		_, err = b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
	})

	t.Run("the client says that it has judged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.tx.Exec(t.Context(), `ALTER FUNCTION riverhook.intent_problem RENAME TO elsewhere`)
		require.NoError(t, err)
		_, err = b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
		_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), named("x")})
		require.NoError(t, err)
	})
}
