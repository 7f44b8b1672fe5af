package delivery_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// However an endpoint answers, and whatever a person does to River's tables
// meanwhile, each delivery comes to one end, no attempt is recorded twice, the
// receiver saw what was recorded, and nothing is left behind.
func TestAttempt_EachRoundOfADeliveryHasOneEnd(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var answers atomic.Pointer[[]int]
	receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		left := *answers.Load()
		if len(left) == 0 {
			return deliverytest.Answer{}
		}
		rest := left[1:]
		answers.Store(&rest)
		return deliverytest.Answer{Status: left[0]}
	}})
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Deactivation = subscription.DeactivationRules{Exhausted: 1_000_000}
	})
	meddle := []string{
		``,
		`DELETE FROM riverhook.river_job WHERE state IN ('available', 'scheduled')`,
		`UPDATE riverhook.river_job SET state = 'cancelled', finalized_at = now() WHERE state IN ('available', 'scheduled')`,
		`UPDATE riverhook.river_job SET state = 'discarded', finalized_at = now() WHERE state IN ('available', 'scheduled')`,
		`UPDATE riverhook.river_job SET state = 'completed', finalized_at = now() WHERE state IN ('available', 'scheduled')`,
		`UPDATE riverhook.river_job SET state = 'available', finalized_at = NULL WHERE state = 'completed'`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		statuses := rapid.SliceOfN(rapid.SampledFrom([]int{200, 204, 302, 400, 404, 500}), 1, 5).Draw(rt, "statuses")
		answers.Store(&statuses)
		sub := b.subscribe(receiver, nil) // a new one has no circuit yet
		defer func() { require.NoError(t, b.subs.Delete(t.Context(), sub.ID)) }()
		before := len(receiver.Requests())
		id := b.enqueue(nil)
		for i := range rapid.IntRange(0, 3).Draw(rt, "meddlings") {
			if sql := rapid.SampledFrom(meddle).Draw(rt, fmt.Sprintf("meddle %d", i)); sql != "" {
				_, err := b.pool.Exec(t.Context(), sql)
				require.NoError(rt, err)
			}
			_, err := engine.RunDue(t.Context())
			require.NoError(rt, err)
		}
		_, err := deliverytest.RunAhead(t.Context(), engine, time.Minute)
		require.NoError(rt, err)

		require.Zero(rt, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`))
		require.Zero(rt, b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state = 'pending'`))
		require.Zero(rt, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`))
		sent := len(receiver.Requests()) - before
		deliveries := b.deliveries(id)
		if len(deliveries) == 0 { // the expansion's job was cancelled
			require.Equal(rt, 1, b.count(`SELECT count(*) FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id
				WHERE i.wire_id = $1 AND s.state = 'cancelled'`, id))
			require.Zero(rt, sent)
			return
		}
		require.Len(rt, deliveries, 1)
		require.Len(rt, b.outcomes(deliveries[0].ID), sent)
		require.Equal(rt, sent, deliveries[0].Attempts)
	})
}
