package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// crashAt runs an engine that kills itself at a point, lets another take over,
// and waits until nothing is pending.
func crashAt(t *testing.T, b *bundle, task childTask) {
	t.Helper()
	task.Role = "engine"
	task.Database = b.pool.Config().ConnString()
	task.EngineID = "first"
	first := startChild(t, task)
	require.Error(t, first.cmd.Wait(), "it has killed itself, perhaps before it could say that it has started")
	// The test does not wait out the heartbeat.
	_, err := b.pool.Exec(t.Context(), `UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE id = 'first'`)
	require.NoError(t, err)
	second := startChild(t, childTask{
		Role:      "engine",
		Database:  task.Database,
		EngineID:  "second",
		ChunkSize: task.ChunkSize,
	})
	second.awaitStart(t)
	b.eventually(func() bool {
		return b.count(`SELECT (SELECT count(*) FROM riverhook.delivery WHERE state = 'pending')
			+ (SELECT count(*) FROM riverhook.intent_state WHERE state = 'pending')
			+ (SELECT count(*) FROM riverhook.river_job WHERE state <> 'completed')`) == 0
	})
	require.NoError(t, second.stdin.Close())
	require.NoError(t, second.cmd.Wait())
}

func TestCrash_BeforeTheFirstRequestLosesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, operatorOnly)
	id := b.enqueue(nil)

	crashAt(t, b, childTask{DieAt: delivery.PointExpanded})

	require.Len(t, receiver.Requests(), 1)
	require.Equal(t, "delivered", b.deliveries(id)[0].State)
}

func TestCrash_BetweenTheAnswerAndTheRecordSendsAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, operatorOnly)
	id := b.enqueue(nil)

	crashAt(t, b, childTask{DieAt: delivery.PointAnswered})

	require.Len(t, receiver.Requests(), 2, "the request that was in flight")
	require.Equal(t, receiver.Requests()[0].ID(), receiver.Requests()[1].ID())
	require.Equal(t, []string{"interrupted", "delivered"}, b.outcomes(b.deliveries(id)[0].ID))
}

func TestCrash_BetweenTheRecordAndRiversCompletionSendsNothingAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, operatorOnly)
	id := b.enqueue(nil)

	crashAt(t, b, childTask{DieAt: delivery.PointRecorded})

	require.Len(t, receiver.Requests(), 1)
	require.Equal(t, []string{"delivered"}, b.outcomes(b.deliveries(id)[0].ID))
}

func TestCrash_OnTheLastAttemptLeavesThatAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500})
	b.subscribe(receiver, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Schedule = "twice"
	})
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	_, err := b.pool.Exec(t.Context(), `UPDATE riverhook.river_job SET scheduled_at = now(), state = 'available'
		WHERE kind = 'riverhook_deliver'`)
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `UPDATE riverhook.subscription SET schedule = 'quick'`) // which the children know
	require.NoError(t, err)

	crashAt(t, b, childTask{DieAt: delivery.PointAnswered})

	require.Len(t, receiver.Requests(), 3)
	require.Equal(t, "delivered", b.deliveries(id)[0].State)
	require.Equal(t, []string{"failed", "interrupted", "delivered"}, b.outcomes(b.deliveries(id)[0].ID))
}

func TestCrash_InMidExpansionTellsEachSubscriptionOnce(t *testing.T) {
	t.Parallel()
	for pass := range 3 {
		b := newBundle(t)
		receiver := b.receiver(nil)
		for range 7 {
			b.subscribe(receiver, operatorOnly)
		}
		id := b.enqueue(nil)

		crashAt(t, b, childTask{
			DieAt:     delivery.PointExpanded,
			Pass:      pass,
			ChunkSize: 2,
		})

		deliveries := b.deliveries(id)
		require.Len(t, deliveries, 7)
		for _, d := range deliveries {
			require.Equal(t, "delivered", d.State)
			require.Equal(t, 1, d.Attempts)
		}
	}
}
