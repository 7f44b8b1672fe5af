package delivery_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// While one engine asks who may see the resource, another that believes it dead
// expands the same intent.
func TestExpand_AnExpansionThatWasOvertakenWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Limits.ChunkSize = 1
	first, _ := b.subscribeAs("ada")
	second, _ := b.subscribeAs("ada")
	other := b.engine(nil)
	var overtaken sync.Once
	slow := b.guardedBy(access.CheckerFunc(func(ctx context.Context, _ access.Request) (err error) {
		overtaken.Do(func() {
			b.exec(`UPDATE riverhook.river_job SET state = 'available'`)
			_, err = other.RunDue(ctx)
		})
		return err
	}))

	id := b.enqueue(nil)
	b.drain(slow)

	require.Len(t, first.Requests(), 1)
	require.Len(t, second.Requests(), 1)
	require.Len(t, b.deliveries(id), 2)
	require.Equal(t, "expanded", b.text(`SELECT state FROM riverhook.intent_state`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_chunk'`))
}

// The other engine has done one chunk and is at the next one.
func TestExpand_AnExpansionThatWasOvertakenByAChunkWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Limits.ChunkSize = 1
	var receivers []*deliverytest.Receiver
	for range 3 {
		r, _ := b.subscribeAs("ada")
		receivers = append(receivers, r)
	}
	asked := make(chan struct{}, 3)
	answer := make(chan struct{})
	ended := make(chan error, 1)
	other := b.patientlyGuardedBy(func() {
		asked <- struct{}{}
		if len(asked) == 2 {
			<-answer
		}
	})
	var overtaken sync.Once
	slow := b.patientlyGuardedBy(func() {
		overtaken.Do(func() {
			b.exec(`UPDATE riverhook.river_job SET state = 'available'`)
			go func() {
				_, err := other.RunDue(context.WithoutCancel(t.Context()))
				ended <- err
			}()
			b.eventually(func() bool { return len(asked) == 2 })
		})
	})

	id := b.enqueue(nil)
	b.drain(slow)

	require.Len(t, b.deliveries(id), 1)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_chunk'`))
	close(answer)
	require.NoError(t, <-ended)
	for _, r := range receivers {
		require.Len(t, r.Requests(), 1)
	}
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind = 'riverhook_chunk'`))
}

func TestExpand_AnIntentThatWasCancelledWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, _ := b.subscribeAs("ada")
	other := b.engine(nil)
	slow := b.patientlyGuardedBy(func() {
		b.exec(`UPDATE riverhook.river_job SET state = 'cancelled', finalized_at = now()`)
		b.drain(other)
	})

	id := b.enqueue(nil)
	b.drain(slow)

	require.Equal(t, "cancelled", b.text(`SELECT state FROM riverhook.intent_state`))
	require.Empty(t, b.deliveries(id))
	require.Empty(t, r.Requests())
}

// patientlyGuardedBy is an engine whose checker calls f and allows everything,
// however long f takes.
func (b *bundle) patientlyGuardedBy(f func()) *delivery.Engine {
	b.t.Helper()
	registry, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Minute})
	require.NoError(b.t, err)
	require.NoError(b.t, registry.RegisterDefault(access.CheckerFunc(func(context.Context, access.Request) error {
		f()
		return nil
	})))
	return b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = registry })
}

// Somebody has made a copy of the job of a retry.
func TestSend_AJobThatDoesNotCarryItsDeliverySendsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = delivery.ScheduleStandard })
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, 1, b.exec(`INSERT INTO riverhook.river_job (args, kind, max_attempts, queue)
		SELECT args, kind, max_attempts, queue FROM riverhook.river_job WHERE kind = 'riverhook_deliver'`))

	b.pass(time.Minute)
	b.drain(engine)

	require.Len(t, r.Requests(), 2)
	require.Equal(t, []string{"failed", "failed"}, b.history(id))
}

// Of the five deliveries of an endpoint the first two are under way while the
// others are held and released.
func TestRelease_LeavesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.start(b.engine(nil))
	answer := make(chan struct{})
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(req deliverytest.Request) deliverytest.Answer {
		if req.Number <= 2 {
			<-answer
		}
		return deliverytest.Answer{}
	}})
	release := sync.OnceFunc(func() { close(answer) })
	t.Cleanup(release)
	sub := b.subscribe(r, nil)
	b.enqueueMany("some.event", 2)
	b.wait(r, 2)
	b.pause(sub.ID)
	b.enqueueMany("some.event", 3)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'paused'`) == 3 })

	b.activate(sub.ID)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) >= 3 })

	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending' AND attempt_seq = 0`))
	release()
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 5 })
	require.Len(t, r.Requests(), 5)
}

func TestRecord_AnApplicationThatHoldsADeliveryDelaysNoOther(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Paused = true })
	engine := b.engine(nil)
	first, second := b.enqueue(nil), b.enqueue(nil)
	b.drain(engine)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	require.NoError(t, engine.In(tx).Cancel(t.Context(), b.deliveries(first)[0].ID, "sent by mistake"))

	b.activate(sub.ID)
	b.start(engine)

	b.eventually(func() bool { return b.deliveries(second)[0].State == "delivered" })
	require.NoError(t, tx.Commit(t.Context()))
	require.Equal(t, "cancelled", b.deliveries(first)[0].State)
	require.Len(t, r.Requests(), 1)
}

// Three deliveries are locked by the application while their answers come in:
// more than there are batches under way at once.
func TestRecord_OneThatMeetsARowOfTheApplicationDelaysNoOther(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.start(b.engine(nil))
	quick := b.receiver(nil)
	b.subscribe(quick, only("quick.event"))
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	locked := make([]string, 3)
	answer := make([]func(), len(locked))
	for i := range locked {
		var r *deliverytest.Receiver
		r, answer[i] = b.hangingFirst(deliverytest.Answer{})
		typ := fmt.Sprintf("locked.event_%d", i)
		b.subscribe(r, only(typ))
		locked[i] = b.enqueue(func(in *outbox.Intent) { in.Type = typ })
		b.wait(r, 1)
		require.NoError(t, engine.In(tx).Cancel(t.Context(), b.deliveries(locked[i])[0].ID, "perhaps"))
	}
	for _, answer := range answer {
		answer()
		other := b.enqueue(func(in *outbox.Intent) { in.Type = "quick.event" })
		b.eventually(func() bool {
			all := b.deliveries(other)
			return len(all) == 1 && all[0].State == "delivered"
		})
	}
	for _, id := range locked {
		require.Equal(t, "pending", b.deliveries(id)[0].State)
		require.Empty(t, b.history(id))
	}

	require.NoError(t, tx.Rollback(t.Context()))

	for _, id := range locked {
		b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
		require.Equal(t, []string{"delivered"}, b.history(id))
	}
}

// An engine that died and a delivery that is lost say when the second engine has
// looked at the first one's.
func TestReconcile_LeavesALivingEngineWhatItHasUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	living := b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = "living" }))
	r, release := b.hangingFirst(deliverytest.Answer{})
	b.subscribe(r, only("slow.event"))
	other := b.receiver(nil)
	other.Script(deliverytest.Answer{Status: 500})
	b.subscribe(other, func(spec *subscription.Spec) { spec.Events, spec.Schedule = []string{"lost.event"}, "twice" })
	id := b.enqueue(func(in *outbox.Intent) { in.Type = "slow.event" })
	b.wait(r, 1)
	lost := b.enqueue(func(in *outbox.Intent) { in.Type = "lost.event" })
	b.eventually(func() bool { return b.exec(`DELETE FROM riverhook.river_job WHERE kind = 'riverhook_deliver'`) == 1 })
	b.exec(`INSERT INTO riverhook.engine (process, id, heartbeat_at) VALUES ('dead_1', 'dead', now() - interval '1 minute')`)
	b.pass(2 * time.Hour)

	b.start(b.engine(func(cfg *delivery.Config) { cfg.ID = "second" }))
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.engine WHERE id = 'dead'`) == 0 })
	b.eventually(func() bool { return b.deliveries(lost)[0].State == "delivered" })

	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.engine`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job j JOIN riverhook.delivery d ON d.job_id = j.id
		WHERE d.id = $1 AND d.attempt_seq = 0 AND j.state = 'running' AND j.attempt = 1 AND j.attempted_by = ARRAY[$2]`,
		b.deliveries(id)[0].ID, living.Process()))
	release()
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"delivered"}, b.history(id))
	require.Len(t, r.Requests(), 1)
}
