package delivery_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestRecover_SendsWhatWasMissedOldestFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(
		deliverytest.Answer{Status: 404}, deliverytest.Answer{Status: 200}, deliverytest.Answer{Status: 404},
		deliverytest.Answer{Status: 404}, deliverytest.Answer{Status: 404})
	sub := b.subscribe(receiver, func(s *subscription.Spec) { s.Schedule = "none" })
	engine := b.engine(nil)
	for _, id := range []string{"a", "delivered", "b", "c", "d"} {
		b.enqueue(func(in *outbox.Intent) { in.ID = id })
		b.drain(engine)
	}
	states := func() string {
		var all []string
		for _, id := range []string{"a", "delivered", "b", "c", "d"} {
			all = append(all, b.deliveries(id)[0].State)
		}
		return strings.Join(all, " ")
	}
	recovered := func(opts *delivery.RecoverOpts) int {
		n, err := engine.Recover(t.Context(), sub.ID, opts)
		require.NoError(t, err)
		return n
	}
	b.exec(`UPDATE riverhook.delivery d SET created_at = now() - interval '2 h' FROM riverhook.intent i
		WHERE i.id = d.intent_id AND i.wire_id = 'a'`)
	hour := time.Now().Add(-time.Hour)

	require.Zero(t, recovered(&delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryExpired}}))
	require.Equal(t, 2, recovered(&delivery.RecoverOpts{Since: hour, Limit: 2}))
	require.Equal(t, "exhausted delivered pending pending exhausted", states())
	require.Equal(t, 1, recovered(&delivery.RecoverOpts{Until: hour}))
	require.Equal(t, "pending delivered pending pending exhausted", states())
	require.Equal(t, 1, recovered(nil))
	require.Zero(t, recovered(nil))
	b.drain(engine)
	require.Equal(t, "delivered delivered delivered delivered delivered", states())
	require.Len(t, receiver.Requests(), 9)
	require.Equal(t, 5, recovered(&delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryDelivered}}))
}

func TestRecover_GoesInSteps(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, func(s *subscription.Spec) { s.Paused = true })
	b.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, state, ended_at)
		SELECT gen_random_uuid(), gen_random_uuid(), $1, 'standard', '/', 1, 'exhausted', now() FROM generate_series(1, 1200)`, sub.ID)
	b.exec(`INSERT INTO riverhook.message (intent_id, dialect, content_type) SELECT intent_id, dialect, '' FROM riverhook.delivery`)
	engine := b.engine(nil)

	n, err := engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{Limit: 700})
	require.NoError(t, err)
	require.Equal(t, 700, n)
	n, err = engine.Recover(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, 500, n)

	require.Equal(t, 1200, b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending' AND hold = 'paused' AND job_id IS NULL`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job`))
}

func TestRecover_OneThatIsRefusedNamesItsField(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	now := time.Now()
	for field, opts := range map[string]*delivery.RecoverOpts{
		"Limit":     {Limit: -1},
		"States[1]": {States: []delivery.DeliveryState{delivery.DeliveryExhausted, delivery.DeliveryPending}},
		"Until":     {Since: now, Until: now},
	} {
		_, err := engine.Recover(t.Context(), uuid.New(), opts)
		require.ErrorContains(t, err, field+": ")
	}
	_, err := engine.Recover(t.Context(), uuid.New(), nil)
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

func TestRetryFailed_AnExpansionThatFailedIsRunAgain(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"failed", "cancelled"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			receiver := b.receiver(nil)
			b.subscribe(receiver, nil)
			engine := b.engine(nil)
			id := b.enqueue(nil)
			var job int64
			require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT job_id FROM riverhook.intent_state`).Scan(&job))
			n, err := engine.RetryFailed(t.Context(), id)
			require.NoError(t, err)
			require.Zero(t, n, "nothing has failed")
			b.exec(`UPDATE riverhook.intent_state SET state = $1, reason = 'no tree', ended_at = now()`, state)
			b.drain(engine)
			require.Empty(t, receiver.Requests())

			n, err = engine.RetryFailed(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			old := store.FailIntentParams{
				IntentID: b.reading(id).Key,
				JobID:    job,
				Reason:   "an older job",
			}
			require.NoError(t, store.In(b.pool, "riverhook").FailIntent(t.Context(), &old))
			require.Equal(t, delivery.IntentPending, b.reading(id).State)
			b.drain(engine)

			require.Equal(t, delivery.IntentExpanded, b.reading(id).State)
			require.Len(t, receiver.Requests(), 1)
		})
	}
}

func TestRetryFailed_DecisionsThatFailedAreMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, nil)
	var works atomic.Bool
	externalizers := &delivery.Externalizers{}
	require.NoError(t, externalizers.Register("", "", "", delivery.Externalizer(
		func(_ context.Context, ev dialect.Event) ([]byte, error) {
			if !works.Load() {
				return nil, errors.New("the template is broken")
			}
			return ev.Data, nil
		})))
	engine := b.engine(func(cfg *delivery.Config) { cfg.Externalize.Registry, cfg.Externalize.Tries = externalizers, 1 })
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, "failed", b.decisions(id)[sub.ID][0])

	works.Store(true)
	n, err := engine.RetryFailed(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.drain(engine)

	require.Equal(t, "delivered", b.deliveries(id)[0].State)
	require.Empty(t, b.decisions(id))
	_, err = engine.RetryFailed(t.Context(), "nobody")
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

func TestHistory_WorksInEachQueryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
			require.NoError(t, err)
			cfg.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			b.pool = pool
			receiver := b.receiver(nil)
			sub := b.subscribe(receiver, hourly)
			b.subscribe(receiver, func(s *subscription.Spec) { s.Events = []string{"office.closed"} })
			engine := b.engine(func(cfg *delivery.Config) { cfg.History.MaxAge = time.Nanosecond })
			id := b.enqueue(nil)
			b.exec(`UPDATE riverhook.intent_state SET state = 'failed', ended_at = now()`)
			n, err := engine.RetryFailedMany(t.Context(), &delivery.IntentFilter{Type: "user.*", Since: time.Now().Add(-time.Hour)})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			b.drain(engine)
			h := engine.History()

			found, err := deliveriesOf(h.Deliveries(t.Context(), &delivery.DeliveryFilter{
				SubscriptionID: sub.ID,
				IntentID:       id,
				EventType:      "user.*",
				Under:          "/noaa",
				State:          delivery.DeliveryDelivered,
				ResourceKind:   "user",
				Since:          time.Now().Add(-time.Hour),
				Until:          time.Now().Add(time.Hour),
			}))
			require.NoError(t, err)
			require.Len(t, found, 1)
			attempts, err := h.Attempts(t.Context(), found[0].ID)
			require.NoError(t, err)
			require.Len(t, attempts, 1)
			_, err = h.Message(t.Context(), found[0].ID)
			require.NoError(t, err)
			intents, err := intentsOf(h.Intents(t.Context(), &delivery.IntentFilter{Type: "user.*", Since: time.Now().Add(-time.Hour)}))
			require.NoError(t, err)
			require.Len(t, intents, 1)
			x, err := h.Explain(t.Context(), id)
			require.NoError(t, err)
			require.Len(t, x.Subscriptions, 2)
			_, err = h.Stats(t.Context())
			require.NoError(t, err)
			require.NoError(t, engine.Redeliver(t.Context(), found[0].ID))
			require.NoError(t, engine.Cancel(t.Context(), found[0].ID, "not now"))
			n, err = engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{Since: time.Now().Add(-time.Hour)})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			b.drain(engine)
			receiver.Script(deliverytest.Answer{Status: 404})
			require.NoError(t, engine.Redeliver(t.Context(), found[0].ID))
			b.drain(engine)
			_, n, err = engine.Ping(t.Context(), sub.ID, &delivery.PingOpts{Release: true})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.NoError(t, engine.Redeliver(t.Context(), found[0].ID))
			b.drain(engine)
			require.Equal(t, delivery.Pruned{Deliveries: 1, Payloads: 1}, b.prune(engine))
		})
	}
}

// reading is an intent as the history has it.
func (b *bundle) reading(id string) delivery.IntentRecord {
	b.t.Helper()
	in, err := b.reader().Intent(b.t.Context(), id)
	require.NoError(b.t, err)
	return *in
}
