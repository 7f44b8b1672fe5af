package delivery_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// bundle is a database with all that a webhook meets on its way.
type bundle struct {
	t      *testing.T
	pool   *pgxpool.Pool
	outbox *outbox.Client
	subs   *subscription.Store
	cfg    delivery.Config

	tolerance time.Duration // of receivers for the time of a signature; zero is their default
}

// newBundle makes one. The engines that it makes allow receivers on loopback and
// any number of subscriptions, let every owner see everything, and have the
// schedules of schedules.
func newBundle(t *testing.T) *bundle {
	t.Helper()
	return bundleOn(t, pgtest.PoolSize(t, 20))
}

// bundleOn is newBundle for a database that is there, and migrated.
func bundleOn(t *testing.T, pool *pgxpool.Pool) *bundle {
	t.Helper()
	client, err := outbox.New(nil)
	require.NoError(t, err)
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, checkers.RegisterDefault(accesstest.Allow()))
	b := &bundle{
		t:      t,
		pool:   pool,
		outbox: client,
		cfg: delivery.Config{
			Access:    delivery.AccessConfig{Registry: checkers},
			Egress:    deliverytest.LocalPolicy(),
			History:   delivery.HistoryRules{PerSubscription: 100_000}, // a busy machine is not done when it is pruned, after a minute
			Logger:    slog.New(slog.DiscardHandler),
			Schedules: schedules(),
			Sealer:    sealer(),

			Limits: delivery.Limits{SubscriptionsPerOwner: -1, SubscriptionsPerSite: -1},
		},
	}
	b.subs = b.engine(nil).Subscriptions()
	return b
}

// schedules are those that engines have beside the presets, in this process and
// in those that tests start.
func schedules() map[string]delivery.Schedule {
	soon := []time.Duration{10 * time.Millisecond}
	return map[string]delivery.Schedule{
		"hourly":  {Delays: slices.Repeat([]time.Duration{time.Hour}, 20)},
		"patient": {Delays: slices.Repeat(soon, 50)},
		"quick":   {Delays: soon},
		"seconds": {Delays: slices.Repeat([]time.Duration{time.Second}, 9)},
		"soon":    {Delays: slices.Repeat(soon, 3)},
		"twice":   {Delays: []time.Duration{time.Hour}},
	}
}

// sealer has the key of all engines, in this process and in those that tests start.
func sealer() seal.Sealer { return keysetOf(engineKey) }

const engineKey = "rhseal_a2V5IG9mIGFsbCBlbmdpbmVzIG9mIHRoZXNlIHRlc3Q="

func keysetOf(text string) seal.Sealer {
	keys, err := seal.ParseKeyset(text)
	if err != nil {
		panic(err)
	}
	return keys
}

// engine makes an engine that is not started, with the bundle's configuration
// as change leaves it. It hands on the jobs of the dead as soon as it starts.
func (b *bundle) engine(change func(cfg *delivery.Config)) *delivery.Engine {
	b.t.Helper()
	cfg := b.cfg
	if change != nil {
		change(&cfg)
	}
	engine, err := delivery.New(b.pool, &cfg)
	require.NoError(b.t, err)
	return delivery.HandOnAtOnce(engine)
}

// start starts an engine and stops it at the end of the test.
func (b *bundle) start(engine *delivery.Engine) *delivery.Engine {
	b.t.Helper()
	require.NoError(b.t, engine.Start(b.t.Context()))
	b.t.Cleanup(func() { require.NoError(b.t, engine.Stop(context.Background())) })
	return engine
}

func (b *bundle) drain(engine *delivery.Engine) {
	b.t.Helper()
	deliverytest.Drain(b.t.Context(), b.t, engine, nil)
}

// receiver starts a receiver; subscribe lets it trust the secret that it is given.
func (b *bundle) receiver(cfg *deliverytest.ReceiverConfig) *deliverytest.Receiver {
	b.t.Helper()
	if b.tolerance != 0 {
		tolerant := deliverytest.ReceiverConfig{}
		if cfg != nil {
			tolerant = *cfg
		}
		tolerant.Verifier = dialect.StandardVerifier(&dialect.StandardOpts{Tolerance: b.tolerance})
		cfg = &tolerant
	}
	return deliverytest.NewReceiver(b.t, cfg)
}

// subscribe subscribes a receiver to all events at "/", owned by "owner", as
// change leaves it.
func (b *bundle) subscribe(r *deliverytest.Receiver, change func(spec *subscription.Spec)) subscription.Subscription {
	b.t.Helper()
	spec := subscription.Spec{
		URL:      r.URL(),
		Events:   []string{"**"},
		Owner:    "owner",
		Schedule: "soon",
	}
	if change != nil {
		change(&spec)
	}
	created, err := b.subs.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	require.NoError(b.t, r.Trust(created.Secret))
	return created.Subscription
}

// enqueue commits one intent of a user at /noaa/nws/oun, as change leaves it.
func (b *bundle) enqueue(change func(in *outbox.Intent)) string {
	b.t.Helper()
	in := outbox.Intent{
		Type:     "user.created",
		Site:     "/noaa/nws/oun",
		Resource: access.Resource{Kind: "user", ID: "ada"},
		Data:     map[string]string{"name": "Ada"},
	}
	if change != nil {
		change(&in)
	}
	var id string
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error {
		res, err := b.outbox.Enqueue(b.t.Context(), tx, in)
		id = res.ID
		return err
	}))
	return id
}

// deliveryRow is what a test asks of a delivery.
type deliveryRow struct {
	ID           uuid.UUID
	State        string
	Hold         string
	Reason       string
	Attempts     int
	Outcome      string
	Subscription uuid.UUID
}

// deliveries returns the deliveries of an intent, oldest subscription first.
func (b *bundle) deliveries(intentID string) []deliveryRow {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT d.id, d.state, d.hold, d.reason, d.attempts, d.last_outcome, d.subscription_id
		FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.wire_id = $1 ORDER BY d.subscription_id`, intentID)
	require.NoError(b.t, err)
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deliveryRow])
	require.NoError(b.t, err)
	return out
}

// outcomes returns the outcomes of the attempts of a delivery, in order.
func (b *bundle) outcomes(id uuid.UUID) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `SELECT outcome FROM riverhook.attempt WHERE delivery_id = $1 ORDER BY seq`, id)
	require.NoError(b.t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return out
}

// decisions returns outcome and reason by subscription.
func (b *bundle) decisions(intentID string) map[uuid.UUID][2]string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT d.subscription_id, d.outcome, d.reason FROM riverhook.decision d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE i.wire_id = $1`, intentID)
	require.NoError(b.t, err)
	out := map[uuid.UUID][2]string{}
	var (
		id              uuid.UUID
		outcome, reason string
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &outcome, &reason}, func() error {
		out[id] = [2]string{outcome, reason}
		return nil
	})
	require.NoError(b.t, err)
	return out
}

// count runs a query that returns one number.
func (b *bundle) count(query string, args ...any) int {
	b.t.Helper()
	var n int
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), query, args...).Scan(&n))
	return n
}

// eventually waits, by asking again, until ok.
func (b *bundle) eventually(ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, time.Minute, 10*time.Millisecond) // a busy machine
}

func pgxPool(ctx context.Context, url string) (*pgxpool.Pool, error) { return pgxpool.New(ctx, url) }

// patient makes a subscription whose deliveries outlive many interruptions.
func patient(spec *subscription.Spec) { spec.Schedule = "patient" }

// operatorOnly makes a subscription that needs no access check.
func operatorOnly(spec *subscription.Spec) {
	spec.Owner = ""
	spec.Operator = true
	spec.Schedule = ""
}
