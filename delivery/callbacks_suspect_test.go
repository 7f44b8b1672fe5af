package delivery_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
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
func amongDeadly(t *testing.T) (b *bundle, r *deliverytest.Receiver, sub subscription.Subscription) {
	t.Helper()
	b = newBundle(t)
	b.harmless()
	b.subs = b.engine(nil).Subscriptions()
	r = b.receiver(nil)
	sub = b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect = "deadly" })
	return b, r, sub
}

func (b *bundle) harmless() { addHostCode(&b.cfg, "none") }

// requireInnocents requires that each of n events was delivered, whoever died.
func (b *bundle) requireInnocents(n int) {
	b.t.Helper()
	require.Equal(b.t, n, b.count(`SELECT count(*) FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.type = 'some.event' AND d.state = 'delivered'`))
	require.Zero(b.t, b.count(`SELECT count(*) FROM riverhook.decision d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.type = 'some.event'`))
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

// suspects is of how many rows it is written down that a run did not come back.
func (b *bundle) suspects() int {
	b.t.Helper()
	return b.count(`SELECT (SELECT count(*) FROM riverhook.delivery WHERE ended_runs IS NOT NULL)
		+ (SELECT count(*) FROM riverhook.decision WHERE ended_runs IS NOT NULL)
		+ (SELECT count(*) FROM riverhook.intent_state WHERE ended_runs IS NOT NULL)`)
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

func TestCallbacks_HostCodeEndsItsProcess(t *testing.T) {
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

			engine := b.engine(nil)
			b.rerun(engine, id)
			require.Zero(t, b.suspects(), "the count begins anew")
			b.drain(engine)
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

// The other subscriptions receive the event, whatever kills the engines.
func TestCallbacks_HostCodeEndsItsProcess_OthersOfTheEvent(t *testing.T) {
	t.Parallel()
	for _, deadly := range []string{"envelope", "request"} {
		t.Run(deadly, func(t *testing.T) {
			t.Parallel()
			b, _, sub := amongDeadly(t)
			r := b.receiver(nil)
			for range 6 {
				b.subscribe(r, nil)
			}
			b.enqueueDeadly()

			deaths := b.outlive(childTask{ChunkSize: 2, Deadly: deadly}, b.nothingWaits)

			require.LessOrEqual(t, deaths, mostDeaths, "also where a later chunk needs the same")
			require.Equal(t, 6, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND subscription_id <> $1`, sub.ID))
			// What was under way when its process ended is sent again.
			require.GreaterOrEqual(t, len(r.Requests()), 6)
			require.LessOrEqual(t, len(r.Requests()), 6+6*deaths)
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND subscription_id = $1`, sub.ID))
		})
	}
}

// A fan-out whose dialect is given up in its first chunk is not tried in the next ones.
func TestCallbacks_HostCodeEndsItsProcess_LaterChunks(t *testing.T) {
	t.Parallel()
	b, r, _ := amongDeadly(t)
	for range 4 {
		b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect = "deadly" })
	}
	id := b.enqueueDeadly()

	deaths := b.outlive(childTask{ChunkSize: 2, Deadly: "externalizer"}, b.nothingWaits)

	require.LessOrEqual(t, deaths, mostDeaths)
	for _, decision := range b.decisions(id) {
		require.Equal(t, [2]string{"failed", `process ended three times in the externalizer of dialect "deadly"`}, decision)
	}
	require.Len(t, b.decisions(id), 5)
	require.Empty(t, r.Requests())
}

func TestCallbacks_HostCodeEndsItsProcess_WhenADecisionIsMadeAgain(t *testing.T) {
	t.Parallel()
	b, _, sub := amongDeadly(t)
	id := b.enqueueDeadly()
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("not now") })
	}))
	require.Equal(t, "waiting", b.decisions(id)[sub.ID][0])
	b.pass(time.Minute)
	b.enqueueMany("some.event", 10)

	deaths := b.outlive(childTask{Deadly: "externalizer"}, b.nothingWaits)

	require.LessOrEqual(t, deaths, mostDeaths)
	require.Equal(t, [2]string{"failed", `process ended three times in the externalizer of dialect "deadly"`}, b.decisions(id)[sub.ID])
	b.requireInnocents(10)
}

func TestCallbacks_HostCodeEndsItsProcess_BeforeALaterAttempt(t *testing.T) {
	t.Parallel()
	for deadly, reason := range map[string]string{
		"checker": `process ended three times in the access checker of resources of kind "user"`,
		"request": `process ended three times in the dialect "deadly"`,
	} {
		t.Run(deadly, func(t *testing.T) {
			t.Parallel()
			b, r, sub := amongDeadly(t)
			b.exec(`UPDATE riverhook.subscription SET schedule = 'twice'`)
			r.Script(deliverytest.Answer{Status: 500})
			id := b.enqueueDeadly()
			b.drain(b.engine(nil))
			require.Equal(t, []string{"failed"}, b.history(id))
			b.pass(2 * time.Hour) // what is known of the permission is old

			deaths := b.outlive(childTask{Deadly: deadly}, b.nothingWaits)

			require.LessOrEqual(t, deaths, mostDeaths)
			got := b.delivery(id, sub.ID)
			require.Equal(t, []string{"cancelled", reason}, []string{got.State, got.Reason})
			require.Equal(t, 1, got.Attempts)
			require.Equal(t, []string{"failed", "interrupted"}, b.history(id), "only the first run may have sent it")
			require.Len(t, r.Requests(), 1)
		})
	}
}

// Whoever kills a process while it waits for answers has found no fault with anybody.
func TestCallbacks_KillsDuringRequestsDoNotCount(t *testing.T) {
	t.Parallel()
	b, r, sub := amongDeadly(t)
	const kills = 5
	for range kills {
		r.Script(deliverytest.Answer{Hang: true})
	}
	id := b.enqueue(nil)
	for n := range kills {
		task := childTask{
			Role:     "engine",
			Database: b.pool.Config().ConnString(),
			EngineID: fmt.Sprintf("engine %d", n),
			Deadly:   "none",
		}
		c := startChild(t, task)
		c.awaitStart(t)
		b.wait(r, n+1)
		c.kill(t)
		b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	}

	require.Zero(t, b.outlive(childTask{Deadly: "none"}, b.nothingWaits))

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Equal(t, slices.Concat(slices.Repeat([]string{"interrupted"}, kills), []string{"delivered"}), b.history(id))
}

var kills = flag.Int("kills", 12, "how many engines TestCallbacks_KillsAtRandomMoments kills")

// Two engines are killed again and again, each in the middle of expansions, decisions and
// attempts of which most are those that others have left.
func TestCallbacks_KillsAtRandomMoments(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b, r, _ := amongDeadly(t)
	b.subscribe(r, patient)
	b.exec(`UPDATE riverhook.subscription SET schedule = 'patient'`)
	events := 0
	for n := range *kills {
		b.enqueueMany("some.event", 40)
		events += 40
		c := startChild(t, childTask{
			Role:     "engine",
			Database: b.pool.Config().ConnString(),
			EngineID: fmt.Sprintf("engine %d", n),
			Deadly:   "slow externalizer",
		})
		c.awaitStart(t)
		moment := time.NewTimer(time.Duration(random.IntN(300)) * time.Millisecond)
		<-moment.C
		c.kill(t)
		b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
		b.exec(`UPDATE riverhook.river_job SET attempted_at = attempted_at - interval '15 seconds' WHERE state = 'running'`)
	}
	t.Logf("%d events, %d of which are suspects still", events, b.suspects())

	require.Zero(t, b.outlive(childTask{Deadly: "none"}, b.nothingWaits))

	require.Equal(t, 2*events, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.decision`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state <> 'expanded'`))
}

// An engine that is told to stop may be ended at any time: the step that is under way then
// is not to blame.
func TestCallbacks_SIGTERMMakesNoSuspect(t *testing.T) {
	t.Parallel()
	b, _, sub := amongDeadly(t)
	id := b.enqueueDeadly()
	b.exec(`UPDATE riverhook.intent_state SET ended_runs = '{"runs": {"the externalizer of dialect \"deadly\"": 2}}'`)
	const counted = `SELECT ended_runs -> 'runs' ->> 'the externalizer of dialect "deadly"' FROM riverhook.intent_state`
	c := startChild(t, childTask{
		Role:        "engine",
		Database:    b.pool.Config().ConnString(),
		EngineID:    "first",
		Deadly:      "hanging externalizer",
		StopTimeout: time.Minute,
	})
	c.awaitStart(t)
	b.eventually(func() bool { return b.text(counted) == "3" })

	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	b.eventually(func() bool { return b.text(counted) == "2" })
	c.kill(t)
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)

	require.Zero(t, b.outlive(childTask{Deadly: "none"}, b.nothingWaits))
	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
}

// Two runs did not come back, and one did.
func TestCallbacks_ProgressBeginsTheCountOfASuspectAnew(t *testing.T) {
	t.Parallel()
	const two = `{"runs": {"the dialect \"deadly\"": 2}}`
	b, r, sub := amongDeadly(t)
	b.exec(`UPDATE riverhook.subscription SET schedule = 'twice'`)
	r.Script(deliverytest.Answer{Status: 500})
	id := b.enqueueDeadly()
	b.exec(`UPDATE riverhook.intent_state SET ended_runs = $1`, two)

	b.drain(b.engine(nil))

	require.Equal(t, []string{"failed"}, b.history(id))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent_state WHERE ended_runs IS NOT NULL`), "a chunk")

	b.exec(`UPDATE riverhook.delivery SET ended_runs = $1`, two)
	b.pass(2 * time.Hour)
	b.drain(b.engine(nil))

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE ended_runs IS NOT NULL`), "an attempt")

	id = b.enqueueDeadly()
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("not now") })
	}))
	b.exec(`UPDATE riverhook.decision SET ended_runs = $1`, two)
	b.pass(time.Minute)
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New("not now") })
	}))
	require.Equal(t, "waiting", b.decisions(id)[sub.ID][0])
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.decision WHERE ended_runs IS NOT NULL`), "a try")
}

// What an application holds locked is not waited for, and nothing is called without a note.
func TestCallbacks_ASuspectBehindARowOfTheApplication(t *testing.T) {
	t.Parallel()
	b, r, sub := amongDeadly(t)
	id := b.enqueueDeadly()
	b.exec(`UPDATE riverhook.river_job SET attempt = 1`) // a process has ended
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.intent_state FOR UPDATE`)
	require.NoError(t, err)
	engine := b.engine(nil)

	_, err = engine.RunDue(t.Context())
	require.ErrorContains(t, err, "record a step")
	require.Empty(t, b.deliveries(id))
	require.NoError(t, tx.Rollback(t.Context()))
	b.pass(time.Minute)
	b.drain(engine)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Len(t, r.Requests(), 1)
}

// A database that cannot write down that a run came back does not make it one that ended
// its process.
func TestCallbacks_ReturnsThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	var during func()
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) {
			during()
			return []byte(`{}`), nil
		})
	})
	id := b.enqueue(nil)
	b.exec(`UPDATE riverhook.river_job SET attempt = 1`) // a process has ended

	for range 4 {
		var tx pgx.Tx
		during = func() {
			var err error
			tx, err = b.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.intent_state FOR UPDATE`)
			require.NoError(t, err)
		}
		_, err := engine.RunDue(t.Context())
		require.ErrorContains(t, err, "record a step")
		require.NoError(t, tx.Rollback(t.Context()))
		require.Equal(t, 1, b.suspects(), "what was written before stays")
		b.pass(time.Minute)
	}
	during = func() {}
	b.drain(engine)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Len(t, r.Requests(), 1)
	require.Zero(t, engine.UnwrittenReturns())
}
