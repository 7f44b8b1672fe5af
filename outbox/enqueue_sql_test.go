package outbox

import (
	"database/sql"
	"encoding/json"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestEnqueueSQL_GoesWithTheTransactionOfEachDriver(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{"pgx": "pgx", "lib/pq": "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open(driver, pgtest.Database(t))
			require.NoError(t, err)
			defer db.Close()
			client, err := New(nil)
			require.NoError(t, err)
			counted := func() (n int) {
				require.NoError(t, db.QueryRow(`SELECT count(*) FROM riverhook.intent i
					JOIN riverhook.river_job j ON j.args ->> 'intent_id' = i.id::text`).Scan(&n))
				return n
			}

			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = client.EnqueueSQL(t.Context(), tx, valid())
			require.NoError(t, err)
			require.NoError(t, tx.Rollback())
			require.Zero(t, counted())

			tx, err = db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.Exec("SET LOCAL search_path = pg_temp")
			require.NoError(t, err)
			in := named("x")
			in.Data = json.RawMessage(` {"é": "<\u0000$1'\\>"}`)
			in.Attributes = map[string]string{"it's": "\\"}
			res, err := client.EnqueueSQL(t.Context(), tx, in)
			require.NoError(t, err)
			require.Equal(t, Result{ID: "x"}, res)
			results, err := client.EnqueueManySQL(t.Context(), tx, []Intent{valid(), in})
			require.NoError(t, err)
			require.Equal(t, Result{ID: "x", Duplicate: true}, results[1])

			other := in
			other.Data = nil
			_, err = client.EnqueueSQL(t.Context(), tx, other)
			require.ErrorIs(t, err, ErrIDConflict)
			_, err = client.EnqueueSQL(t.Context(), tx, Intent{})
			require.ErrorIs(t, err, ErrInvalidIntent)
			require.NoError(t, tx.Commit())
			require.Equal(t, 2, counted())
			var data []byte
			require.NoError(t, db.QueryRow("SELECT data FROM riverhook.intent WHERE wire_id = 'x'").Scan(&data))
			require.Equal(t, string(in.Data.(json.RawMessage)), string(data))
		})
	}
}

func TestEnqueueSQL_SaysThatTheDatabaseIsNotMigrated(t *testing.T) {
	t.Parallel()
	for name, driver := range map[string]string{"pgx": "pgx", "lib/pq": "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open(driver, pgtest.EmptyDatabase(t))
			require.NoError(t, err)
			defer db.Close()
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer tx.Rollback()
			_, err = EnqueueSQL(t.Context(), tx, valid())
			require.ErrorIs(t, err, ErrNotMigrated)
			require.ErrorContains(t, err, "outbox.Migrate")
		})
	}
}
