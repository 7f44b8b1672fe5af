package pginbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/receiver"
)

// clockBundle is a bundle on a database whose clock is set by jump.
func clockBundle(t *testing.T) *bundle {
	t.Helper()
	return &bundle{T: t, pool: pgtest.ClockPool(t, pgtest.DefaultMaxConns)}
}

// jump sets the database's clock forward, or back.
func (b *bundle) jump(d time.Duration) {
	b.Helper()
	pgtest.Jump(b, b.pool, d)
}

// hourly fails at first, and then waits an hour.
func hourly(name string) receiver.Receiver {
	rec := in(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt == 1 {
			return receiver.Response{}, errors.New("not yet")
		}
		return receiver.Response{}, nil
	})
	rec.Backoff, rec.Name = func(int) time.Duration { return time.Hour }, name
	return rec
}

func TestClock_ARetryIsDueByThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]time.Duration{"ahead": 2 * time.Hour, "behind": -2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := clockBundle(t)
			b.jump(-wrong)
			inRequest := hourly("sync")
			inRequest.Sync = true
			registry, err := receiver.NewRegistry(hourly("in"), inRequest)
			require.NoError(t, err)
			inbox := b.start(b.open(registry))

			b.add(inbox, "d1")
			ref := b.addTo(inbox, "sync", "d1")
			_, err = inbox.Run(t.Context(), ref)
			require.NoError(t, err)

			const retries = `SELECT count(*) FROM riverhook.inbox_event e JOIN riverhook.river_job j ON j.id = e.job_id
				WHERE e.attempt = 1 AND e.due_at = j.scheduled_at
					AND e.due_at BETWEEN clock.now() + interval '58 minutes' AND clock.now() + interval '1 hour'`
			b.eventually(retries, 2)
			b.jump(50 * time.Minute)
			b.settle(inbox)
			require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'pending' AND attempt = 1`))
			b.jump(10*time.Minute + 16*time.Second) // what River's leader does not see is found after 15 s

			b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 2`, 2)
		})
	}
}

// settle waits until an event that was added now is done, and for a whole round of maintenance:
// from the end of one, at which it prunes, to the next.
func (b *bundle) settle(inbox receiver.Inbox) {
	b.Helper()
	before := b.count(`SELECT count(*) FROM riverhook.inbox_event`)
	marker := b.addTo(inbox, "in", "")
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE id = '`+marker.ID+`' AND attempt = 1`, 1)
	b.exec(`DELETE FROM riverhook.inbox_event WHERE id = '` + marker.ID + `'`)
	for range 2 {
		b.exec(`INSERT INTO riverhook.inbox_event (id, receiver, state, job_id, ended_at)
			VALUES (gen_random_uuid(), 'old', 'done', 0, clock.now() - interval '31 days')`)
		b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE receiver = 'old'`, 0)
	}
	require.Equal(b, before, b.count(`SELECT count(*) FROM riverhook.inbox_event`))
}

// A Sync event whose process dies within the request is taken up by the database's clock.
func TestClock_TheJobOfASyncEventIsDueByThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	b.jump(-2 * time.Hour)
	rec := in(nothing)
	rec.Name, rec.Sync = "sync", true
	registry, err := receiver.NewRegistry(rec)
	require.NoError(t, err)
	inbox := b.start(b.open(registry))

	b.addTo(inbox, "sync", "d1")

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'scheduled'
		AND scheduled_at BETWEEN clock.now() + interval '1 minute' AND clock.now() + interval '2 minutes'`))
	b.jump(time.Minute + 31*time.Second)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
}

func TestLateJobs_AreFoundAndBegin(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]string{
		"scheduled in three hours": `UPDATE riverhook.river_job SET state = 'scheduled', scheduled_at = now() + interval '3 hours'`,
		"retryable in a year":      `UPDATE riverhook.river_job SET state = 'retryable', scheduled_at = now() + interval '1 year'`,
		"available in an hour":     `UPDATE riverhook.river_job SET state = 'available', scheduled_at = now() + interval '1 hour'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			inbox := b.inbox(nothing)
			b.add(inbox, "d1")
			b.exec(late)

			b.start(inbox)

			b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 1`, 1)
		})
	}
}

// A job that is to come later is not late.
func TestLateJobs_OneThatIsNotDueIsLetBe(t *testing.T) {
	t.Parallel()
	b := clockBundle(t)
	registry, err := receiver.NewRegistry(hourly("in"))
	require.NoError(t, err)
	inbox := b.start(b.open(registry))
	b.add(inbox, "d1")
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE attempt = 1 AND due_at > now() + interval '58 minutes'`, 1)

	b.settle(inbox)

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event e JOIN riverhook.river_job j ON j.id = e.job_id
		WHERE j.state = 'scheduled' AND j.scheduled_at = e.due_at AND e.attempt = 1`))
}
