package outbox

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jobs"
)

// The SQL function writes into River's table. These tests hold it to what
// River's own client writes.

func TestRiver_TheJobIsWhatItWouldInsert(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := riverClient(t)
	var clock time.Time
	require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT now()").Scan(&clock))

	for name, notBefore := range map[string]time.Time{
		"at once": {}, "later": clock.Add(time.Hour), "already due": clock.Add(-time.Hour),
	} {
		in := valid()
		in.NotBefore = notBefore
		_, err := b.client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err, name)
		var ours int64
		var intent uuid.UUID
		require.NoError(t, b.tx.QueryRow(t.Context(),
			"SELECT id, (args ->> 'intent_id')::uuid FROM riverhook.river_job ORDER BY id DESC LIMIT 1").Scan(&ours, &intent))
		var state string
		require.NoError(t, b.tx.QueryRow(t.Context(),
			"SELECT s.state FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id WHERE s.job_id = $1 AND i.id = $2",
			ours, intent).Scan(&state))
		require.Equal(t, "pending", state)

		// River holds back what has a time, even a past one; ours is due by the
		// database's clock.
		opts := &river.InsertOpts{Tags: []string{"share_noaa"}}
		at := clock
		if notBefore.After(clock) {
			at = notBefore
			opts.ScheduledAt = notBefore
		}
		res, err := client.InsertTx(t.Context(), b.tx, jobs.Expand{IntentID: intent}, opts)
		require.NoError(t, err)
		theirs, got := jobRow(t, b.tx, res.Job.ID), jobRow(t, b.tx, ours)
		require.Equal(t, clock, got["created_at"])
		require.Equal(t, at, got["scheduled_at"])
		for _, column := range []string{"created_at", "scheduled_at"} { // the client's clock
			require.WithinDuration(t, got[column].(time.Time), theirs[column].(time.Time), time.Minute)
			delete(theirs, column)
			delete(got, column)
		}
		delete(theirs, "id")
		delete(got, "id")
		require.Greater(t, len(got), 14)
		require.Equal(t, theirs, got, name)
	}
}

func TestRiver_TheNotificationIsWhatItWouldSend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listen, err := pgx.Connect(t.Context(), b.pool.Config().ConnString())
	require.NoError(t, err)
	defer listen.Close(context.WithoutCancel(t.Context()))
	_, err = listen.Exec(t.Context(), `LISTEN "riverhook.river_insert"`)
	require.NoError(t, err)
	next := func() *pgconn.Notification {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err := listen.WaitForNotification(ctx)
		require.NoError(t, err)
		n.PID = 0
		return n
	}

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := riverClient(t).InsertTx(t.Context(), tx, jobs.Expand{}, nil)
		return err
	}))
	theirs := next()
	_, err = b.client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	require.NoError(t, b.tx.Commit(t.Context()))
	require.Equal(t, theirs, next())
}

func TestWakes_OnlyDueIntentsOfAWakingClientNotify(t *testing.T) {
	t.Parallel()
	b := setup(t)
	listen, err := pgx.Connect(t.Context(), b.pool.Config().ConnString())
	require.NoError(t, err)
	defer listen.Close(context.WithoutCancel(t.Context()))
	_, err = listen.Exec(t.Context(), `LISTEN "riverhook.river_insert"; LISTEN done`)
	require.NoError(t, err)

	enqueue := func(client *Client, in ...Intent) {
		require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			_, err := client.EnqueueMany(t.Context(), tx, in)
			return err
		}))
	}
	silent, err := New(&Config{NotifyInterval: -1})
	require.NoError(t, err)
	later, known := valid(), valid()
	later.NotBefore = time.Now().Add(time.Hour)
	known.ID = "known"

	enqueue(silent, valid(), known)
	enqueue(b.client, later, later)
	enqueue(b.client, known) // a duplicate
	_, err = b.pool.Exec(t.Context(), "NOTIFY done, '1'")
	require.NoError(t, err)
	enqueue(b.client, later, valid())
	_, err = b.pool.Exec(t.Context(), "NOTIFY done, '2'")
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seen []string
	for len(seen) < 3 {
		n, err := listen.WaitForNotification(ctx)
		require.NoError(t, err)
		seen = append(seen, n.Channel+n.Payload)
	}
	require.Equal(t, []string{"done1", `riverhook.river_insert{"queue": "expand"}`, "done2"}, seen)
}

func TestRiver_ThePinnedOneIsTheOneWeAreBuiltWith(t *testing.T) {
	t.Parallel()
	_, err := MigrationFS(nil)
	require.NoError(t, err)
}

func riverClient(t *testing.T) *river.Client[pgx.Tx] {
	t.Helper()
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		Logger: slog.New(slog.DiscardHandler), Schema: "riverhook",
	})
	require.NoError(t, err)
	return client
}

func jobRow(t *testing.T, tx pgx.Tx, id int64) map[string]any {
	t.Helper()
	rows, err := tx.Query(t.Context(), "SELECT * FROM riverhook.river_job WHERE id = $1", id)
	require.NoError(t, err)
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToMap)
	require.NoError(t, err)
	return row
}
