package turns

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// retryWait is that of the bundle.
type retryWait struct{}

func (retryWait) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(time.Duration(1+9*len(job.Errors)) * time.Second)
}

type fixedWorker struct {
	river.WorkerDefaults[jobs.Expand]

	err error
}

func (w *fixedWorker) Work(context.Context, *river.Job[jobs.Expand]) error { return w.err }

// runByRiver lets a client of River fetch the one job and end it with an error.
func runByRiver(t *testing.T, pool *pgxpool.Pool, err error) {
	t.Helper()
	workers := river.NewWorkers()
	river.AddWorker(workers, &fixedWorker{err: err})
	client, newErr := river.NewClient(riverpgxv5.New(pool), &river.Config{
		ID:                   "river",
		JobTimeout:           -1,
		Logger:               slog.New(slog.DiscardHandler),
		Queues:               map[string]river.QueueConfig{jobs.QueueExpand: {MaxWorkers: 1}},
		RescueStuckJobsAfter: time.Hour,
		RetryPolicy:          retryWait{},
		Schema:               "riverhook",
		Workers:              workers,
	})
	require.NoError(t, newErr)
	ended, cancel := client.Subscribe(
		river.EventKindJobCancelled, river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobSnoozed)
	defer cancel()
	require.NoError(t, client.Start(t.Context()))
	<-ended
	require.NoError(t, client.Stop(t.Context()))
}

// ended is the one job, with times as what they are after its beginning.
func ended(t *testing.T, pool *pgxpool.Pool) map[string]any {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT *, extract(epoch FROM scheduled_at - attempted_at)::float8 AS next FROM riverhook.river_job`)
	require.NoError(t, err)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), row["attempted_at"].(time.Time), time.Minute)
	if at, ok := row["finalized_at"].(time.Time); ok {
		require.WithinDuration(t, time.Now(), at, time.Minute)
	}
	row["finalized_at"] = row["finalized_at"] != nil
	row["next"] = int(row["next"].(float64) + 0.7) // the clock of the client is read at another moment
	by := row["attempted_by"].([]any)
	row["attempted_by"] = len(by)
	row["first"] = by[0]
	if errs, ok := row["errors"].([]any); ok {
		for _, one := range errs {
			failure := one.(map[string]any)
			if _, err := time.Parse(time.RFC3339Nano, failure["at"].(string)); err != nil {
				require.NoError(t, err)
			}
			delete(failure, "at")
		}
	}
	for _, column := range []string{"args", "attempted_at", "created_at", "id", "scheduled_at"} {
		delete(row, column)
	}
	return row
}

// What becomes of a job is the same whether River fetched and completed it or a turn did.
func TestContract_AJobThatATurnTookIsAsRiverWouldLeaveIt(t *testing.T) {
	t.Parallel()
	const before = `{"at": "2026-01-01T00:00:00Z", "attempt": 1, "error": "earlier", "trace": ""}`
	for name, end := range map[string]struct {
		err   error
		given string
	}{
		"cancelled meanwhile":            {errors.New("no"), `metadata = '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}'`},
		"cancelled meanwhile, snoozed":   {river.JobSnooze(time.Second), `metadata = '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}'`},
		"cancelled, but completed":       {nil, `metadata = '{"cancel_attempted_at": "2026-01-01T00:00:00Z"}'`},
		"completed":                      {nil, `priority = 1`},
		"completed after many processes": {nil, `attempted_by = ARRAY(SELECT 'p' || n FROM generate_series(1, 100) n)`},
		"completed after 99 processes":   {nil, `attempted_by = ARRAY(SELECT 'p' || n FROM generate_series(1, 99) n)`},
		"failed":                         {errors.New("a \x01 \xff \"quote\""), `priority = 1`},
		"failed again":                   {errors.New("no"), `attempt = 1, errors = ARRAY['` + before + `'::jsonb]`},
		"failed for the last time":       {errors.New("no"), `attempt = 999`},
		"snoozed":                        {river.JobSnooze(2 * time.Second), `priority = 1`},
		"snoozed again":                  {river.JobSnooze(2 * time.Second), `metadata = '{"snoozes": 7, "other": 1}'`},
		"snoozed for long":               {river.JobSnooze(time.Minute), `priority = 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			commit(t, pool, "acme", 1)
			_, err := pool.Exec(t.Context(), "UPDATE riverhook.river_job SET "+end.given)
			require.NoError(t, err)
			runByRiver(t, pool, end.err)
			theirs := ended(t, pool)

			_, err = pool.Exec(t.Context(), "TRUNCATE riverhook.river_job")
			require.NoError(t, err)
			commit(t, pool, "acme", 1)
			_, err = pool.Exec(t.Context(), "UPDATE riverhook.river_job SET "+end.given)
			require.NoError(t, err)
			b := newBundle(pool, "ours", 100)
			b.take(t, "share_loud")
			b.letGo(t, end.err)
			ours := ended(t, pool)

			if theirs["first"] == "river" {
				theirs["first"] = b.cfg.Process
			}
			require.Equal(t, theirs, ours)
			_, err = json.Marshal(ours)
			require.NoError(t, err)
		})
	}
}
