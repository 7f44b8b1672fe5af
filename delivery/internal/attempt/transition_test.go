package attempt

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

var twice = Schedule{Delays: []time.Duration{time.Minute}}

func half() float64 { return 0.5 }

func TestAfter_EachOutcomeHasItsTransition(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		outcome     Outcome
		attempts    int // before
		interrupted int // before
		state       State
		used        int
		again       bool
	}{
		{OutcomeDelivered, 0, 2, StateDelivered, 1, false},
		{OutcomeGone, 0, 2, StateCancelled, 1, false},
		{OutcomeInterrupted, 0, 0, StatePending, 0, true},
		{OutcomeInterrupted, 0, 2, StatePending, 1, true},
		{OutcomeInterrupted, 1, 2, StateExhausted, 2, false},
		{OutcomeBlocked, 0, 0, StatePending, 1, true},
		{OutcomeFailed, 0, 2, StatePending, 1, true},
		{OutcomeRejected, 1, 0, StateExhausted, 2, false},
		{OutcomeThrottled, 0, 0, StatePending, 1, true},
		{OutcomeProxyFailed, 1, 0, StateExhausted, 2, false},
	} {
		in := &Target{Attempts: tc.attempts, Interrupted: tc.interrupted}
		a := &Attempt{Outcome: tc.outcome}
		tr := in.After(a, twice, half)
		name := fmt.Sprintf("%+v", tc)
		require.Equal(t, tc.state, tr.State, name)
		require.Equal(t, tc.used, tr.Attempts, name)
		require.Equal(t, tc.again, tr.Again, name)
		require.Same(t, a, tr.Attempt, name)
		require.Equal(t, tc.used == tc.attempts, tr.Interrupted > 0, name)
	}
}

func TestAfter_WaitsForTheLaterOfScheduleAndEndpoint(t *testing.T) {
	t.Parallel()
	in := &Target{}
	for asked, want := range map[time.Duration]time.Duration{
		0:           time.Minute,
		time.Second: time.Minute,
		time.Hour:   time.Hour,
	} {
		require.Equal(t, want, in.After(&Attempt{Outcome: OutcomeThrottled, Asked: asked}, twice, half).Wait)
	}
}

func TestBlockedBy_ReasonsInTheirOrder(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := now.Add(time.Minute)
	in := &Target{Epoch: 1}
	in.Sub.Epoch = 1
	require.Nil(t, in.BlockedBy(now))
	for _, step := range []struct { // each takes precedence over those above it
		change func()
		state  State
		hold   Hold
		again  bool
	}{
		{func() { in.CircuitUntil = later }, StatePending, HoldCircuit, false},
		{func() { in.AskedUntil = later }, StatePending, HoldCircuit, false},
		{func() { in.Gone = true }, StatePending, "", true},
		{func() { in.Sub.Waits = "paused" }, StatePending, HoldPaused, false},
		{func() { in.Epoch = 2 }, StateCancelled, "", false},
		{func() { in.Sub.Ended = "deleted" }, StateCancelled, "", false},
		{func() { in.MessageGone = true }, StateCancelled, "", false},
	} {
		step.change()
		tr := in.BlockedBy(now)
		require.Equal(t, step.state, tr.State, tr.Reason)
		require.Equal(t, step.hold, tr.Hold, tr.Reason)
		require.Equal(t, step.again, tr.Again, tr.Reason)
		require.Nil(t, tr.Attempt)
	}
}

func TestBlockedBy_TheCircuitLetsPass(t *testing.T) {
	t.Parallel()
	now := time.Now()
	open := Endpoint{CircuitUntil: now.Add(time.Minute), Trial: true}
	asked := Endpoint{AskedUntil: now.Add(time.Minute)}
	probe := open
	probe.Probe = true
	probed := open
	probed.Probed = true
	for name, tc := range map[string]struct {
		in     Target
		passes bool
	}{
		"a first attempt":            {Target{Endpoint: open}, false},
		"a retry":                    {Target{Endpoint: open, Attempts: 1}, true},
		"a retry beside a probe":     {Target{Endpoint: probed, Attempts: 1}, false},
		"the probe":                  {Target{Endpoint: probe}, true},
		"a retry that is to wait":    {Target{Endpoint: asked, Attempts: 1}, false},
		"what a person wants":        {Target{Endpoint: open, AtOnce: true}, true},
		"what a person wants now":    {Target{Endpoint: asked, AtOnce: true}, true},
		"an attempt after the pause": {Target{Endpoint: Endpoint{CircuitUntil: now.Add(-time.Second)}}, true},
	} {
		require.Equal(t, tc.passes, tc.in.BlockedBy(now) == nil, name)
	}
}

func TestNotCalled_EndsWhatIsGivenUpAndPostponesTheRest(t *testing.T) {
	t.Parallel()
	in := &Target{}
	require.Equal(t, StateCancelled, in.NotCalled(&callbacks.EndedError{}).State)
	stalled := in.NotCalled(callbacks.Stall("begin", errors.New("no database")))
	require.Equal(t, StatePending, stalled.State)
	require.True(t, stalled.Again)
	require.Nil(t, in.NotCalled(errors.New("of the application")))
	require.Nil(t, in.NotCalled(nil))
}
