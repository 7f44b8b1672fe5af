package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

// A worker that was believed dead comes back with a failure while its successor
// records a success.
func TestTwoTransitionsOfOneDeliveryInABatchAreToldApart(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	e, err := New(pool, &Config{Sealer: seal.Clear()})
	require.NoError(t, err)
	id, sub := uuid.New(), uuid.New()
	ctx := context.Background()
	_, err = pool.Exec(ctx, `INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, attempt_seq)
		VALUES ($1, $2, $3, 'standard', '/', 1, 1)`, id, uuid.New(), sub)
	require.NoError(t, err)
	answer := func(seq int, outcome Outcome, state attempt.State) *attempt.Transition {
		tr := &attempt.Transition{
			Target: &attempt.Target{
				ID:    id,
				Seq:   seq,
				Round: 1,
				Epoch: 1,
			},
			State:    state,
			Attempts: 1,
			Attempt: &attempt.Attempt{
				Number:    1,
				Outcome:   outcome,
				StartedAt: time.Now(),
			},
		}
		tr.Target.Sub.ID = sub
		return tr
	}

	became, err := e.recordTransitions(ctx, []*attempt.Transition{
		answer(0, OutcomeFailed, attempt.StatePending), answer(1, OutcomeDelivered, attempt.StateDelivered),
	})
	require.NoError(t, err)
	require.Equal(t, []recorded{superseded, moved}, became)
	var failures int
	err = pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.subscription_health WHERE subscription_id = $1`, sub).Scan(&failures)
	require.NoError(t, err)
	require.Zero(t, failures, "the failure of the one believed dead does not count")
}
