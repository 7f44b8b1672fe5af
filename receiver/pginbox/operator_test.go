package pginbox_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/receiver"
)

// fail adds n events to receiver "in" that have failed.
func (b *bundle) fail(n int) {
	b.Helper()
	_, err := b.pool.Exec(b.Context(), `
		INSERT INTO riverhook.inbox_event (id, receiver, state, attempt, error, job_id, ended_at, received_at)
		SELECT gen_random_uuid(), 'in', 'failed', 3, 'no luck', -g, now(), now() - g * interval '1 second' FROM generate_series(1, $1) g`, n)
	require.NoError(b, err)
}

// Those that fail again meanwhile are not among them.
func TestRetryMany_TakesEachThatHadFailedOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.start(b.inbox(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, receiver.ErrPermanent
	}))
	b.fail(1201) // more than two steps

	n, err := inbox.RetryMany(t.Context(), receiver.EventFilter{Receiver: "in"})

	require.NoError(t, err)
	require.Equal(t, 1201, n)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'failed' AND attempt = 4 AND attempts_before = 3`, 1201)
	require.Equal(t, 1201, b.count(`SELECT count(*) FROM riverhook.river_job`))
}

func TestRetry_OfAnEventThatWaitsIsDueNow(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inRequest := hourly("sync")
	inRequest.Sync = true
	registry, err := receiver.NewRegistry(hourly("in"), inRequest)
	require.NoError(t, err)
	inbox := b.start(b.open(registry))
	refs := []receiver.Ref{b.add(inbox, "d1"), b.addTo(inbox, "sync", "d1")}
	_, err = inbox.Run(t.Context(), refs[1])
	require.NoError(t, err)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE attempt = 1 AND due_at > now() + interval '59 minutes'`, 2)

	for _, ref := range refs {
		status, err := inbox.Retry(t.Context(), ref.ID)
		require.NoError(t, err)
		require.Contains(t, []receiver.State{receiver.Pending, receiver.Done}, status.State)
	}

	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 2`, 2)
}

// What is under way within a request is not begun a second time.
func TestRetry_OfAnEventUnderWayChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	running, goOn := make(chan struct{}), make(chan struct{})
	rec := in(func(context.Context, receiver.Event) (receiver.Response, error) {
		close(running)
		<-goOn
		return receiver.Response{}, nil
	})
	rec.Name, rec.Sync = "sync", true
	registry, err := receiver.NewRegistry(rec)
	require.NoError(t, err)
	inbox := b.start(b.open(registry))
	ref := b.addTo(inbox, "sync", "d1")
	ran := make(chan error, 1)
	go func() {
		_, err := inbox.Run(context.WithoutCancel(t.Context()), ref)
		ran <- err
	}()
	<-running

	status, err := inbox.Retry(t.Context(), ref.ID)

	require.NoError(t, err)
	require.Equal(t, receiver.Pending, status.State)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'scheduled' AND scheduled_at > now()`))
	close(goOn)
	require.NoError(t, <-ran)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 1`))
}

// A crash of each run is an attempt of its round.
func TestRetry_OfAnEventThatKilledEachProcessCountsAnew(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt < 6 {
			return receiver.Response{}, errors.New("not yet")
		}
		return receiver.Response{}, nil
	})
	ref := b.add(inbox, "d1")
	b.exec(`UPDATE riverhook.inbox_event SET attempt = 3`)
	b.start(inbox)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'failed'`, 1)

	_, err := inbox.Retry(t.Context(), ref.ID)

	require.NoError(t, err)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done' AND attempt = 6`, 1)
}

// What is rare is found by an index, among many that are done.
func TestList_OfWhatHasFailedReadsAnIndex(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	inbox := b.inbox(nothing)
	b.fail(3)
	b.exec(`INSERT INTO riverhook.inbox_event (id, receiver, state, job_id, ended_at, received_at)
		SELECT gen_random_uuid(), 'in', 'done', g, now(), now() - g * interval '1 second' FROM generate_series(1, 20000) g`)
	b.exec(`ANALYZE riverhook.inbox_event`)
	b.exec(`SELECT pg_stat_force_next_flush()`)

	page, err := inbox.List(t.Context(), receiver.EventFilter{State: receiver.Failed, Since: time.Now().Add(-time.Hour)})

	require.NoError(t, err)
	require.Len(t, page.Events, 3)
	b.eventually(`SELECT count(*) FROM pg_stat_user_indexes WHERE indexrelname = 'inbox_event_failed_idx' AND idx_scan > 0`, 1)
}
