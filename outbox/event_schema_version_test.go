package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// versionsOf are the stored schema versions of intents, by wire id.
func versionsOf(t *testing.T, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) map[string]int {
	t.Helper()
	var text []byte
	require.NoError(t, db.QueryRow(t.Context(),
		"SELECT coalesce(json_object_agg(wire_id, schema_version), '{}') FROM riverhook.intent").Scan(&text))
	got := map[string]int{}
	require.NoError(t, json.Unmarshal(text, &got))
	return got
}

func versionedPerson(id string, version int) Intent {
	in := person(validPerson)
	in.ID, in.SchemaVersion = id, version
	return in
}

func TestEnqueue_TheVersionThatDataIsValidByIsStored(t *testing.T) {
	t.Parallel()

	t.Run("by one, by many and through database/sql, in no further round trip", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		client, _ := clocked(t, pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(),
			versioned("a.b", personSchema, personSchema), EventType{Name: "no.schema"}))
		counter := &statements{}
		cfg := pool.Config()
		cfg.ConnConfig.Tracer = counter
		tx := begin(t, open(t, cfg))
		counter.n = 0
		_, err := client.Enqueue(t.Context(), tx, versionedPerson("one", 0))
		require.NoError(t, err)
		_, err = client.Enqueue(t.Context(), tx, versionedPerson("named", 1))
		require.NoError(t, err)
		_, err = client.Enqueue(t.Context(), tx, Intent{ID: "without", Type: "no.schema"})
		require.NoError(t, err)
		_, err = client.EnqueueMany(t.Context(), tx, []Intent{
			versionedPerson("many", 0), versionedPerson("many-named", 1), {ID: "unregistered", Type: "not.registered"},
		})
		require.NoError(t, err)
		require.Equal(t, 4, counter.n)
		require.NoError(t, tx.Commit(t.Context()))

		db, err := sql.Open("pgx", pool.Config().ConnString())
		require.NoError(t, err)
		defer db.Close()
		sqlTx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = client.EnqueueSQL(t.Context(), sqlTx, versionedPerson("sql", 1))
		require.NoError(t, err)
		require.NoError(t, sqlTx.Commit())
		require.Equal(t, map[string]int{
			"one": 2, "named": 1, "without": 0, "many": 2, "many-named": 1, "unregistered": 0, "sql": 1,
		}, versionsOf(t, pool))
	})

	t.Run("and is none where the client knows no types", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, eventTypes(t, b).Register(t.Context(), versioned("a.b", personSchema)))
		_, err := b.client.Enqueue(t.Context(), b.tx, versionedPerson("x", 0))
		require.NoError(t, err)
		require.Equal(t, map[string]int{"x": 0}, versionsOf(t, b.tx))
	})

	t.Run("and stays when the same is enqueued by another version", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, _ := clocked(t, b.pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(), versioned("a.b", personSchema, personSchema)))
		_, err := client.Enqueue(t.Context(), b.tx, versionedPerson("x", 1))
		require.NoError(t, err)
		again, err := client.Enqueue(t.Context(), b.tx, versionedPerson("x", 2))
		require.NoError(t, err)
		require.True(t, again.Duplicate)
		many, err := client.EnqueueMany(t.Context(), b.tx, []Intent{versionedPerson("y", 2), versionedPerson("x", 2)})
		require.NoError(t, err)
		require.True(t, many[1].Duplicate)
		require.Equal(t, map[string]int{"x": 1, "y": 2}, versionsOf(t, b.tx))
	})
}

func TestSQLFunction_KnowsEventTypes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	types := eventTypes(t, b)
	require.NoError(t, types.In(b.tx).Register(t.Context(),
		versioned("a.b", personSchema), EventType{Name: "no.schema"}, EventType{Name: "old.type"}))
	require.NoError(t, types.In(b.tx).Archive(t.Context(), "old.type"))
	for call, reason := range map[string]string{
		`'old.type', '1'`:                                            `Type: "old.type" is archived`,
		`'old.type', '1', strict => true`:                            `Type: "old.type" is archived`,
		`'not.known', '1', strict => true`:                           `Type: "not.known" is not registered; register it, or leave strict out`,
		`'a.b', '1', schema_version => 2`:                            `SchemaVersion: 2 is not registered for the type "a.b"`,
		`'a.b', '1', schema_version => -1`:                           `SchemaVersion: -1 is not registered for the type "a.b"`,
		`'no.schema', '1', schema_version => 1`:                      `SchemaVersion: 1 is not registered for the type "no.schema"`,
		`'not.known', '1', schema_version => 1`:                      `SchemaVersion: 1 is not registered for the type "not.known"`,
		`NULL, '1', strict => true`:                                  `Type: "" is not registered; register it, or leave strict out`,
		`'a.b', '1', schema_version => NULL`:                         "",
		`'a.b', '{"email": 1}', strict => NULL`:                      "",
		`'a.b', '1', id => 'v', strict => true, schema_version => 1`: "",
		`'not.registered', '1'`:                                      "",
	} {
		savepoint := begin(t, b.tx)
		_, err := savepoint.Exec(t.Context(), "SELECT riverhook.enqueue("+call+")")
		if reason == "" {
			require.NoError(t, err, call)
			require.NoError(t, savepoint.Commit(t.Context()))
			continue
		}
		requireState(t, err, "22023", "riverhook: intent: "+reason)
		require.NoError(t, savepoint.Rollback(t.Context()))
	}
	require.Equal(t, [3]int{4, 4, 4}, count(t, b.tx))
	require.Equal(t, 1, versionsOf(t, b.tx)["v"], "the caller's word is stored")
}
