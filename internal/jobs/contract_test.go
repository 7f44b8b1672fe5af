package jobs_test

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/pgtest"
)

var (
	one = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")
	two = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8058")
)

// kinds has, for each SQL function that makes the row of a job, a call of it and what
// River's client would be given.
var kinds = map[string]struct {
	call string
	args river.JobArgs
}{
	"job_chunk":   {"job_chunk($1, '" + two.String() + "', 'acme', $2)", jobs.Chunk{IntentID: one, AfterID: two}},
	"job_decide":  {"job_decide($1, 'acme', $2)", jobs.Decide{IntentID: one}},
	"job_deliver": {"job_deliver($1, 'acme', $2)", jobs.Deliver{DeliveryID: one}},
	"job_expand":  {"job_expand($1, 'acme', $2)", jobs.Expand{IntentID: one}},
	"job_receive": {"job_receive($1, $2)", jobs.Receive{EventID: one}},
}

func begin(t *testing.T) (tx pgx.Tx, now time.Time) {
	t.Helper()
	tx, err := pgtest.Pool(t).Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tx.Rollback(context.WithoutCancel(t.Context()))) })
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT now()").Scan(&now))
	return tx, now
}

// row returns a job but for its id.
func row(t *testing.T, tx pgx.Tx, id int64) map[string]any {
	t.Helper()
	rows, err := tx.Query(t.Context(), "SELECT * FROM riverhook.river_job WHERE id = $1", id)
	require.NoError(t, err)
	got, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
	require.NoError(t, err)
	delete(got, "id")
	return got
}

func insert(t *testing.T, tx pgx.Tx, call string, due time.Time) (id int64) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(),
		"INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)"+
			" SELECT * FROM riverhook."+call+" RETURNING id",
		one, due).Scan(&id))
	return id
}

// Each statement that writes a job takes its row from one of these functions, which a
// test of the layout holds.
func TestKinds_AreWhatRiverWouldInsert(t *testing.T) {
	t.Parallel()
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		Logger: slog.New(slog.DiscardHandler),
		Schema: "riverhook",
	})
	require.NoError(t, err)
	tx, now := begin(t)
	for name, kind := range kinds {
		for when, ahead := range map[string]time.Duration{"at once": 0, "later": time.Hour} {
			opts := &river.InsertOpts{}
			if name != "job_receive" {
				opts.Tags = []string{"share_acme"}
			}
			if ahead > 0 {
				opts.ScheduledAt = now.Add(ahead)
			}
			res, err := client.InsertTx(t.Context(), tx, kind.args, opts)
			require.NoError(t, err)

			theirs, ours := row(t, tx, res.Job.ID), row(t, tx, insert(t, tx, kind.call, now.Add(ahead)))

			require.Equal(t, now, ours["created_at"])
			require.Equal(t, now.Add(ahead), ours["scheduled_at"])
			for _, column := range []string{"created_at", "scheduled_at"} { // the client's clock
				require.WithinDuration(t, ours[column].(time.Time), theirs[column].(time.Time), time.Minute)
				delete(theirs, column)
				delete(ours, column)
			}
			require.Greater(t, len(ours), 14)
			require.Equal(t, theirs, ours, name+" "+when)
			require.EqualValues(t, jobs.MaxAttempts, ours["max_attempts"])
		}
	}
}

func TestKinds_AreAllThatTheSchemaHas(t *testing.T) {
	t.Parallel()
	tx, _ := begin(t)
	rows, err := tx.Query(t.Context(),
		"SELECT proname FROM pg_proc WHERE pronamespace = 'riverhook'::regnamespace AND proretset AND proname LIKE 'job\\_%' ORDER BY 1")
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, slices.Sorted(maps.Keys(kinds)), names)
}

// River's client makes a retry of the next 5 s available at once, and so do we.
func TestKinds_WaitForTheSchedulerIfTheyAreNotDueSoon(t *testing.T) {
	t.Parallel()
	tx, now := begin(t)
	for ahead, state := range map[time.Duration]string{
		-time.Hour:                    "available",
		jobs.Soon:                     "available",
		jobs.Soon + time.Millisecond:  "scheduled",
		jobs.Soon - time.Millisecond:  "available",
		jobs.Soon + 24*60*time.Minute: "scheduled",
	} {
		require.Equal(t, state, row(t, tx, insert(t, tx, kinds["job_deliver"].call, now.Add(ahead)))["state"], ahead)
	}
}

func TestTag_IsOneThatRiverAllowsAndOfOneShareAlone(t *testing.T) {
	t.Parallel()
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		Logger: slog.New(slog.DiscardHandler),
		Schema: "riverhook",
	})
	require.NoError(t, err)
	tx, _ := begin(t)
	shares := map[string]string{}
	for _, share := range []string{
		"/", "a", "A", "-", "a-", "-a", "_", "a_", "a.b", "a_b", "a~b", "2f", "a@b:c+d", strings.Repeat("~", 64), strings.Repeat("a", 64),
	} {
		var tag string
		require.NoError(t, tx.QueryRow(t.Context(), "SELECT tags[1] FROM riverhook.job_expand($2, $1, now())", share, one).Scan(&tag))
		require.NotContains(t, shares, tag, share)
		shares[tag] = share
		_, err := client.InsertTx(t.Context(), tx, jobs.Expand{IntentID: one}, &river.InsertOpts{Tags: []string{tag}})
		require.NoError(t, err, share)
	}
	require.Contains(t, shares, "share_a_b", "it can be read")
}

// A call that Postgres does not replace by the function's body would be one for each
// row of the statements that everything goes through.
func TestKinds_AreInlined(t *testing.T) {
	t.Parallel()
	tx, _ := begin(t)
	plan := func(query string) string {
		rows, err := tx.Query(t.Context(), "EXPLAIN (VERBOSE) "+query)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return strings.Join(lines, "\n")
	}
	for name, kind := range kinds {
		call := strings.NewReplacer("$1", "d.id", "$2", "d.due_at", "'acme'", "d.dialect").Replace(kind.call)
		inlined := plan("SELECT j.* FROM riverhook.delivery d CROSS JOIN LATERAL riverhook." + call + " j")
		require.NotContains(t, inlined, name)
		require.NotContains(t, inlined, "riverhook.job(")
	}
	require.NotContains(t, plan("SELECT riverhook.site_share(d.dialect) FROM riverhook.delivery d"), "site_share")
	require.NotContains(t, plan(
		"SELECT FROM riverhook.river_job j WHERE riverhook.job_lost(j.id, j.state, j.scheduled_at, 1::bigint, 2::bigint)"), "job_lost")
}
