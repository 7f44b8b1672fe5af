package record

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestHealth_AddsUpWhatABatchSays(t *testing.T) {
	t.Parallel()
	target := &attempt.Target{Epoch: 1}
	target.Event.Type = "user.created"
	failed := func(change func(tr *attempt.Transition)) *attempt.Transition {
		tr := answered(target, attempt.OutcomeFailed, attempt.StatePending)
		if change != nil {
			change(tr)
		}
		return tr
	}
	h := Health{}
	h.AddUnresolvable(target.EndpointKey(), 1)
	h.Add(failed(nil), false)
	h.Add(failed(func(tr *attempt.Transition) { tr.Asked = time.Minute }), true)
	h.Add(failed(func(tr *attempt.Transition) { tr.Pause, tr.State = time.Second, attempt.StateExhausted }), true)
	h.Add(answered(target, attempt.OutcomeInterrupted, attempt.StatePending), true)
	require.Equal(t, Health{HealthKey{target.EndpointKey(), 1}: {
		AppFailed:    true,
		Asked:        time.Minute,
		Exhausted:    1,
		Failed:       3,
		Pause:        time.Second,
		Unresolvable: 1,
	}}, h)

	success := answered(target, attempt.OutcomeDelivered, attempt.StateDelivered)
	h.Add(success, true)
	require.Equal(t, Health{HealthKey{target.EndpointKey(), 1}: {
		Asked:        time.Minute,
		Recovered:    success,
		Unresolvable: 1,
	}}, h, "a success ends what was counted, but not a wait that was asked for")
}

func TestHealth_SaysNothingOfASuccessOfAnEndpointThatIsWell(t *testing.T) {
	t.Parallel()
	h := Health{}
	success := answered(&attempt.Target{Epoch: 1}, attempt.OutcomeDelivered, attempt.StateDelivered)
	require.False(t, saysOfHealth(success))
	h.Add(success, false)
	require.Empty(t, h)
}

func TestHealth_AProbeThatIsRefusedClosesTheCircuit(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	r := newRecorder(t, pool, nil)
	target := pending(t, pool)
	target.Probe = true
	_, err := pool.Exec(t.Context(), `INSERT INTO riverhook.subscription_health
		(subscription_id, epoch, circuit_until, circuit_opened, probe_id, probe_until)
		VALUES ($1, 1, now(), 2, $2, now() + interval '1 min')`, target.Sub.ID, target.ID)
	require.NoError(t, err)

	require.NoError(t, r.record(t.Context(), answered(target, attempt.OutcomeRejected, attempt.StatePending)))
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.subscription_health
		WHERE circuit_opened = 0 AND circuit_until IS NULL AND probe_id IS NULL AND failed_attempts = 1`))
}
