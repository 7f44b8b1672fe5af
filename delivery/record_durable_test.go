package delivery_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
)

func TestRecord_WhenARequestArrivesItsDeliveryIsThereAndItsAttemptIsNot(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	type row struct {
		State    string
		Attempts int
	}
	arrived := make(chan []row, 1)
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		rows, _ := b.pool.Query(context.WithoutCancel(t.Context()),
			`SELECT d.state, (SELECT count(*) FROM riverhook.attempt a WHERE a.delivery_id = d.id) FROM riverhook.delivery d`)
		found, _ := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		arrived <- found
		return deliverytest.Answer{}
	}})
	b.subscribe(r, nil)

	b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, []row{{State: "pending"}}, <-arrived)
}

// While an attempt cannot be recorded, a job that has nothing to record comes to
// its end: the other one's would have too.
func TestRecord_AJobEndsOnlyWhenItsAttemptIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.start(b.engine(nil))
	r := b.receiver(nil)
	b.subscribe(r, only("heard.event"))
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), `LOCK TABLE riverhook.attempt IN SHARE MODE`)
	require.NoError(t, err)
	heard := b.enqueue(func(in *outbox.Intent) { in.Type = "heard.event" })
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%name: RecordAttempts%'`) == 1
	})

	unheard := b.enqueue(func(in *outbox.Intent) { in.Type = "unheard.event" })
	b.eventually(func() bool { return b.job(unheard) == "completed" })
	require.Equal(t, "running", b.job(heard))

	require.NoError(t, tx.Rollback(t.Context()))
	b.eventually(func() bool { return b.job(heard) == "completed" })
	require.Equal(t, []string{"delivered"}, b.history(heard))
}

// job is the state of the River job that expands an intent.
func (b *bundle) job(id string) string {
	b.t.Helper()
	return b.text(`SELECT j.state FROM riverhook.river_job j JOIN riverhook.intent_state s ON s.job_id = j.id
		JOIN riverhook.intent i ON i.id = s.intent_id WHERE i.wire_id = $1`, id)
}

// The engine ends between the commit of its expansion and its requests. What
// takes its job up goes on with the deliveries that are there, in this job.
func TestRerun_GoesOnWithWhatItsPredecessorHasCommitted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	ends := b.engine(nil)
	ctx, end := context.WithCancel(t.Context())
	ends.OnPoint(func(string) { end() })
	id := b.enqueue(nil)
	_, err := ends.RunDue(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, b.deliveries(id), 1)
	require.Empty(t, r.Requests())

	b.exec(`UPDATE riverhook.river_job SET state = 'available', scheduled_at = now(), attempt = 1`)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 1)
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_deliver'`))
}
