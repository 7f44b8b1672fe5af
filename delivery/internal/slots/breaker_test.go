package slots

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

func TestBreaker_OpensOnFailuresInARowOrOnTheirShare(t *testing.T) {
	t.Parallel()
	open := func(outcomes ...attempt.Outcome) bool {
		l, id := newLimiter(8), newEndpoint()
		l.Acquire(t.Context(), id)
		opened := false
		for _, o := range outcomes {
			opened = l.learn(id.EndpointKey(), o, 0, time.Unix(1, 0)) || opened
		}
		return opened
	}
	bad, good := attempt.OutcomeFailed, attempt.OutcomeDelivered
	refused := attempt.OutcomeRejected
	require.False(t, open(bad, bad, bad, bad))
	require.True(t, open(bad, bad, bad, bad, bad))
	require.False(t, open(bad, bad, bad, bad, good, bad, bad, bad, bad))
	require.False(t, open(refused, refused, refused, refused, refused))
	mixed := make([]attempt.Outcome, 0, windowSample)
	for range windowSample / 2 {
		mixed = append(mixed, good, bad)
	}
	require.True(t, open(mixed...))
}

func TestBreaker_PauseDoublesUpToItsBound(t *testing.T) {
	t.Parallel()
	require.Equal(t, 5*time.Second, pauseAfter(0, middle))
	require.Equal(t, 10*time.Second, pauseAfter(1, middle))
	require.Equal(t, 10*time.Minute, pauseAfter(50, middle))
}

// answered is the transition of an attempt that had a slot of an endpoint and failed.
func answered(key attempt.EndpointKey, a attempt.Attempt) *attempt.Transition {
	t := &attempt.Target{Sub: attempt.Subscription{ID: key.SubscriptionID, URLVersion: key.URLVersion}}
	tr := t.Unchanged()
	tr.Attempt = &a
	return tr
}

func TestUpdate_EntersWhatFollowsForTheEndpoint(t *testing.T) {
	t.Parallel()
	l, at := newLimiter(8), newEndpoint()
	key := at.EndpointKey()
	require.True(t, l.Acquire(t.Context(), at))
	update := func(a attempt.Attempt, change func(t *attempt.Target)) *attempt.Transition {
		tr := answered(key, a)
		if change != nil {
			change(tr.Target)
		}
		l.Update(tr)
		return tr
	}

	failed := attempt.Attempt{Outcome: attempt.OutcomeFailed}
	for range failuresInRow - 1 {
		require.Zero(t, update(failed, nil).Pause)
	}
	for range failuresInRow {
		require.Zero(t, update(attempt.Attempt{Outcome: attempt.OutcomeProxyFailed}, nil).Pause)
		require.Zero(t, update(attempt.Attempt{Outcome: attempt.OutcomeUnreachable, Unanswered: true}, nil).Pause)
	}
	require.Equal(t, pause, update(failed, nil).Pause)

	probe := func(t *attempt.Target) { t.Probe, t.CircuitOpened = true, 2 }
	require.Equal(t, 4*pause, update(failed, probe).Pause, "a probe that fails opens the circuit again")
	require.Equal(t, 4*pause, update(attempt.Attempt{Outcome: attempt.OutcomeUnreachable, Unanswered: true}, probe).Pause)
	require.Zero(t, update(attempt.Attempt{Outcome: attempt.OutcomeRejected}, probe).Pause)

	waits := update(attempt.Attempt{Outcome: attempt.OutcomeDelivered, Asked: time.Minute}, nil)
	require.Equal(t, time.Minute, waits.Asked)
	require.Zero(t, waits.Pause)
}

// What is read before the record of a wait is committed does not say that the endpoint waits.
func TestRecorded_EndsTheTimeInWhichRowsAreNotBelieved(t *testing.T) {
	t.Parallel()
	l, at := newLimiter(8), newEndpoint()
	key := at.EndpointKey()
	require.True(t, l.Acquire(t.Context(), at))
	tr := answered(key, attempt.Attempt{Outcome: attempt.OutcomeThrottled, Asked: time.Minute})
	require.False(t, l.stoppedSince(key, time.Now()))
	l.Update(tr)
	require.True(t, l.stoppedSince(key, time.Now()))
	read := time.Now()
	l.Recorded(tr)
	require.True(t, l.stoppedSince(key, read))
	require.False(t, l.stoppedSince(key, time.Now().Add(time.Millisecond)))
}
