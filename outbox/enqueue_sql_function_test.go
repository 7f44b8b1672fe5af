package outbox

import (
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestSQLFunction_EnqueuesWhatTheClientWould(t *testing.T) {
	t.Parallel()

	t.Run("writes what the client would write", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		in := named("go")
		in.OccurredAt = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		_, err := b.client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err)
		var id string
		require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT riverhook.enqueue('user.created', '{"n":1}', id => 'sql', site => '/noaa/nws/oun',
			resource_kind => 'user', resource_id => '42', occurred_at => '2026-01-02 03:04:05.000006+00')`).Scan(&id))
		require.Equal(t, "sql", id)
		var different int
		require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT count(DISTINCT (type, site, active_site, resource_kind, resource_id, actor, channel,
			attributes, data, digest, occurred_at, not_before, share)) FROM riverhook.intent`).Scan(&different))
		require.Equal(t, 1, different)
		require.NoError(t, b.tx.QueryRow(t.Context(), `
			SELECT count(DISTINCT (state, max_attempts, kind, queue, priority, scheduled_at, tags, metadata))
			FROM riverhook.river_job`).Scan(&different))
		require.Equal(t, 1, different)
		require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
	})

	t.Run("takes the same id again, and refuses it for other content", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1', id => 'x'), riverhook.enqueue('a.b', '1', id => 'x')")
		require.NoError(t, err)
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
		_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '2', id => 'x')")
		requireState(t, err, "23505", `intent x: the id is taken`)
	})

	for name, bad := range map[string]struct{ call, state, message string }{
		"a bad type":               {`'user', '{}'`, "22023", "Type: must be"},
		"no type":                  {`NULL, '{}'`, "22023", "Type: must be"},
		"a bad site":               {`'a.b', '{}', '/a//b'`, "22023", "Site: must be"},
		"no data":                  {`'a.b', NULL`, "22023", "Data: is missing"},
		"an attribute of a list":   {`'a.b', '{}', attributes => '{"a": ["x"]}'`, "22023", "Attributes: must be"},
		"an attribute of nothing":  {`'a.b', '{}', attributes => '{"a": []}'`, "22023", "Attributes: must be"},
		"an attribute of null":     {`'a.b', '{}', attributes => '{"a": null}'`, "22023", "Attributes: must be"},
		"a list of attributes":     {`'a.b', '{}', attributes => '["x"]'`, "22023", "Attributes: must be"},
		"an infinite time":         {`'a.b', '{}', occurred_at => 'infinity'`, "22023", "OccurredAt: must be"},
		"a time before Christ":     {`'a.b', '{}', occurred_at => '0044-03-15 BC'`, "22023", "OccurredAt: must be"},
		"a wait without end":       {`'a.b', '{}', not_before => 'infinity'`, "22023", "NotBefore: must be"},
		"data that is too large":   {`'a.b', to_json(repeat('a', 262144))`, "22023", "Data: has 262146 bytes; at most 262144"},
		"a share that is a path":   {`'a.b', '{}', share => '/a'`, "22023", "Share: must be"},
		"a resource without an id": {`'a.b', '{}', resource_kind => 'user'`, "22023", "Resource: needs both"},
		"an empty id":              {`'a.b', '{}', id => ''`, "22023", "ID: must be"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.tx.Exec(t.Context(), "SELECT riverhook.enqueue("+bad.call+")")
			requireState(t, err, bad.state, bad.message)
		})
	}

	t.Run("enqueue_batch refuses data that is no JSON", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.tx.Exec(t.Context(), `SELECT * FROM riverhook.enqueue_batch('[{"type": "a.b", "data": "{x"}]', 1, 100, false, false)`)
		requireState(t, err, "22P02", "json")
	})
}

func requireState(t *testing.T, err error, state, message string) {
	t.Helper()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, state, pgErr.Code, pgErr.Message)
	require.Contains(t, pgErr.Message, message)
}

func TestSQLFunction_ATriggerEnqueues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.tx.Exec(t.Context(), `
		CREATE TABLE person (id int PRIMARY KEY, name text, office text);
		CREATE FUNCTION person_changed() RETURNS trigger LANGUAGE plpgsql AS $$
		DECLARE
			p person := coalesce(NEW, OLD);
		BEGIN
			PERFORM riverhook.enqueue(
				CASE TG_OP WHEN 'INSERT' THEN 'person.created' WHEN 'UPDATE' THEN 'person.updated' ELSE 'person.deleted' END,
				to_json(p), site => '/noaa/' || p.office,
				resource_kind => 'person', resource_id => p.id::text);
			RETURN NULL;
		END $$;
		CREATE TRIGGER person_changed AFTER INSERT OR UPDATE OR DELETE ON person FOR EACH ROW EXECUTE FUNCTION person_changed();
		INSERT INTO person VALUES (1, 'Ann', 'oun'), (2, 'Bob', 'ama');
		UPDATE person SET name = 'Anna' WHERE id = 1;
		DELETE FROM person WHERE id = 2;`)
	require.NoError(t, err)
	rows, err := b.tx.Query(t.Context(), `SELECT type || ' ' || site || ' ' || resource_id || ' ' || convert_from(data, 'UTF8')
		FROM riverhook.intent i JOIN riverhook.intent_state s ON s.intent_id = i.id ORDER BY s.job_id`)
	require.NoError(t, err)
	var got []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		got = append(got, line)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{
		`person.created /noaa/oun 1 {"id":1,"name":"Ann","office":"oun"}`,
		`person.created /noaa/ama 2 {"id":2,"name":"Bob","office":"ama"}`,
		`person.updated /noaa/oun 1 {"id":1,"name":"Anna","office":"oun"}`,
		`person.deleted /noaa/ama 2 {"id":2,"name":"Bob","office":"ama"}`,
	}, got)
}

// The producers' guide has blocks of SQL, to be run one after the other.
func TestGuides_TheSQLForProducersRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	guide, err := os.ReadFile("../docs/enqueue.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)\n```sql\n(.*?)\n```\n").FindAllSubmatch(guide, -1)
	require.GreaterOrEqual(t, len(blocks), 4)
	for _, block := range blocks {
		_, err := b.tx.Exec(t.Context(), string(block[1]))
		require.NoError(t, err, string(block[1]))
	}
	require.GreaterOrEqual(t, count(t, b.tx)[0], 2)
}
