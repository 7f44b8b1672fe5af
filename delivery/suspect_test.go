package delivery_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

// mostDeaths is how many processes one piece of host code may end: that of the first
// run, and those of the three runs that are alone.
const mostDeaths = 4

// outlive starts engines one after another, each when the one before has ended its
// process, until done is true. It returns how many have ended.
func (b *bundle) outlive(task childTask, done func() bool) (deaths int) {
	b.t.Helper()
	task.Role, task.Database = "engine", b.pool.Config().ConnString()
	deadline := time.After(time.Minute)
	for n := 1; ; n++ {
		task.EngineID = fmt.Sprintf("engine %d of %s", n, uuid.New())
		c := startChild(b.t, task)
		ended := make(chan error, 1)
		go func() { ended <- c.cmd.Wait() }()
		for waits := true; waits; {
			select {
			case err := <-ended:
				require.Error(b.t, err, "it has ended its process")
				deaths++
				require.LessOrEqual(b.t, deaths, 2*mostDeaths, "engines have died, and there is no end in sight")
				// The test does not wait out the heartbeat.
				b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE id = $1`, task.EngineID)
				b.exec(`UPDATE riverhook.river_job SET attempted_at = attempted_at - interval '15 seconds' WHERE state = 'running'`)
				waits = false
			case <-deadline:
				require.FailNow(b.t, "there is no end in sight", "%d engines have died", deaths)
			case <-time.After(10 * time.Millisecond):
				if done() {
					require.NoError(b.t, c.stdin.Close())
					require.NoError(b.t, <-ended)
					return deaths
				}
			}
		}
	}
}

// nothingWaits is true when all that has been enqueued has come to its end.
func (b *bundle) nothingWaits() bool {
	b.t.Helper()
	return b.count(`SELECT (SELECT count(*) FROM riverhook.delivery WHERE state = 'pending')
		+ (SELECT count(*) FROM riverhook.decision WHERE outcome = 'waiting')
		+ (SELECT count(*) FROM riverhook.intent_state WHERE state = 'pending')`) == 0
}

// enqueueDeadly commits the event at which host code ends its process.
func (b *bundle) enqueueDeadly() string {
	b.t.Helper()
	return b.enqueue(func(in *outbox.Intent) { in.Type, in.Site = deadlyEvent, deadlySite })
}

// amongDeadly is a bundle whose engines, in this process and in others, have host code
// of each kind; in this process it harms nobody.
func amongDeadly(t *testing.T) (b *bundle, r *deliverytest.Receiver, sub hierarchy.Subscription) {
	t.Helper()
	b = newBundle(t)
	b.harmless()
	b.subs = b.engine(nil).Subscriptions()
	r = b.receiver(nil)
	sub = b.subscribe(r, func(spec *hierarchy.SubscriptionSpec) { spec.Dialect = "deadly" })
	return b, r, sub
}

func (b *bundle) harmless() { addHostCode(&b.cfg, "none") }

// requireInnocents requires that each of n events was delivered, whoever died.
func (b *bundle) requireInnocents(n int) {
	b.t.Helper()
	require.Equal(b.t, n, b.count(`SELECT count(*) FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.type = 'some.event' AND d.state = 'delivered'`))
	require.Zero(b.t, b.count(`SELECT count(*) FROM riverhook.decision d JOIN riverhook.intent i ON i.id = d.intent_id WHERE i.type = 'some.event'`))
}

// ended is the state and the reason at which an intent has come to its end, whether as a
// whole, as a decision or as a delivery.
func (b *bundle) ended(intentID string) (state, reason string) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `
		SELECT coalesce(d.state, c.outcome, s.state), coalesce(d.reason, c.reason, s.reason)
		FROM riverhook.intent i JOIN riverhook.intent_state s ON s.intent_id = i.id
		LEFT JOIN riverhook.decision c ON c.intent_id = i.id LEFT JOIN riverhook.delivery d ON d.intent_id = i.id
		WHERE i.wire_id = $1`, intentID).Scan(&state, &reason))
	return state, reason
}

// rerun runs again what was given up, in whatever way it ended.
func (b *bundle) rerun(engine *delivery.Engine, intentID string) {
	b.t.Helper()
	if deliveries := b.deliveries(intentID); len(deliveries) > 0 {
		require.NoError(b.t, engine.Redeliver(b.t.Context(), deliveries[0].ID))
		return
	}
	retried, err := engine.RetryFailed(b.t.Context(), intentID)
	require.NoError(b.t, err)
	require.Equal(b.t, 1, retried)
}

func TestHostCode_EndsItsProcess(t *testing.T) {
	t.Parallel()
	for deadly, want := range map[string][2]string{
		"checker":      {"failed", `process ended three times in the access checker of resources of kind "user"`},
		"envelope":     {"failed", `process ended three times in the dialect "deadly"`},
		"externalizer": {"failed", `process ended three times in the externalizer of dialect "deadly"`},
		"request":      {"cancelled", `process ended three times in the dialect "deadly"`},
		"tree":         {"failed", `process ended three times in the tree of sites`},
	} {
		t.Run(deadly, func(t *testing.T) {
			t.Parallel()
			const innocents = 30
			b, r, _ := amongDeadly(t)
			b.enqueueMany("some.event", innocents/2)
			id := b.enqueueDeadly()
			b.enqueueMany("some.event", innocents/2)

			deaths := b.outlive(childTask{Deadly: deadly}, b.nothingWaits)

			require.LessOrEqual(t, deaths, mostDeaths)
			state, reason := b.ended(id)
			require.Equal(t, want, [2]string{state, reason})
			b.requireInnocents(innocents)

			b.rerun(b.engine(nil), id)
			require.Equal(t, deaths, b.outlive(childTask{Deadly: deadly}, b.nothingWaits), "the count begins anew")
			state, reason = b.ended(id)
			require.Equal(t, want, [2]string{state, reason})

			b.rerun(b.engine(nil), id)
			b.outlive(childTask{Deadly: "none"}, b.nothingWaits)
			state, _ = b.ended(id)
			require.Equal(t, "delivered", state)
			require.Len(t, receivedOf(r, id), 1)
		})
	}
}

// receivedOf are the requests that a receiver got for an event.
func receivedOf(r *deliverytest.Receiver, id string) (of []deliverytest.Request) {
	for _, req := range r.Requests() {
		if req.ID() == id {
			of = append(of, req)
		}
	}
	return of
}
