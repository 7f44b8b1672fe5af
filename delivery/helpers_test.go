package delivery_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// audience subscribes a receiver at each site, and returns what asks which of
// the sites were told of an intent: in the order given, one as often as it was
// told.
func (b *bundle) audience(sites ...hierarchy.Path) func(intentID string) []hierarchy.Path {
	b.t.Helper()
	receivers := make([]*deliverytest.Receiver, len(sites))
	for i, site := range sites {
		receivers[i] = b.receiver(nil)
		b.subscribe(receivers[i], func(spec *subscription.Spec) { spec.Site = site })
	}
	return func(intentID string) []hierarchy.Path {
		told := []hierarchy.Path{}
		for i, r := range receivers {
			for range received(r, intentID) {
				told = append(told, sites[i])
			}
		}
		return told
	}
}

// received returns the requests about an intent.
func received(r *deliverytest.Receiver, intentID string) []deliverytest.Request {
	return slices.DeleteFunc(r.Requests(), func(req deliverytest.Request) bool { return req.ID() != intentID })
}

// checkers is a registry that asks one checker for everything.
func (b *bundle) checkers(c access.Checker) *access.Registry {
	b.t.Helper()
	registry, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Second})
	require.NoError(b.t, err)
	require.NoError(b.t, registry.RegisterDefault(c))
	return registry
}

// guardedBy is an engine whose owners are judged by c.
func (b *bundle) guardedBy(c access.Checker) *delivery.Engine {
	b.t.Helper()
	return b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = b.checkers(c) })
}

// subscribeAs subscribes a new receiver for an owner.
func (b *bundle) subscribeAs(owner string) (*deliverytest.Receiver, uuid.UUID) {
	b.t.Helper()
	r := b.receiver(nil)
	return r, b.subscribe(r, func(spec *subscription.Spec) { spec.Owner, spec.Schedule = owner, "twice" }).ID
}

// drainAhead also runs what is due only within d.
func (b *bundle) drainAhead(engine *delivery.Engine, d time.Duration) {
	b.t.Helper()
	deliverytest.Drain(b.t.Context(), b.t, engine, &deliverytest.DrainOpts{Ahead: d})
}

// pass lets time pass: all that was written is older by d than it was.
func (b *bundle) pass(d time.Duration) {
	b.t.Helper()
	for _, statement := range []string{
		`UPDATE riverhook.delivery SET due_at = due_at - $1::bigint * interval '1 ms',
			held_since = held_since - $1::bigint * interval '1 ms', retry_at = retry_at - $1::bigint * interval '1 ms',
			access_at = access_at - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.decision SET due_at = due_at - $1::bigint * interval '1 ms',
			created_at = created_at - $1::bigint * interval '1 ms', held_since = held_since - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.cause SET since = since - $1::bigint * interval '1 ms', probed_at = probed_at - $1::bigint * interval '1 ms',
			probe_at = probe_at - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.intent_state SET due_at = due_at - $1::bigint * interval '1 ms',
			keep_at = keep_at - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.subscription_health SET failing_since = failing_since - $1::bigint * interval '1 ms',
			exhausted_since = exhausted_since - $1::bigint * interval '1 ms',
			unresolvable_since = unresolvable_since - $1::bigint * interval '1 ms',
			asked_until = asked_until - $1::bigint * interval '1 ms', circuit_until = circuit_until - $1::bigint * interval '1 ms',
			probe_until = probe_until - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.endpoint_challenge SET due_at = due_at - $1::bigint * interval '1 ms',
			asked_at = asked_at - $1::bigint * interval '1 ms', asking_until = asking_until - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.challenged_host SET asked_at = asked_at - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.maintenance_lease SET taken_at = taken_at - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.subscription SET state_since = state_since - $1::bigint * interval '1 ms'`,
		`UPDATE riverhook.river_job SET scheduled_at = scheduled_at - $1::bigint * interval '1 ms' WHERE finalized_at IS NULL`,
	} {
		b.exec(statement, d.Milliseconds())
	}
}

// exec runs a statement and returns how many rows it touched.
func (b *bundle) exec(statement string, args ...any) int {
	b.t.Helper()
	tag, err := b.pool.Exec(b.t.Context(), statement, args...)
	require.NoError(b.t, err)
	return int(tag.RowsAffected())
}

// text runs a query that returns one text.
func (b *bundle) text(query string, args ...any) string {
	b.t.Helper()
	var s string
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), query, args...).Scan(&s))
	return s
}

// delivery returns the delivery of an intent to a subscription.
func (b *bundle) delivery(intentID string, to uuid.UUID) deliveryRow {
	b.t.Helper()
	all := b.deliveries(intentID)
	i := slices.IndexFunc(all, func(d deliveryRow) bool { return d.Subscription == to })
	require.NotEqual(b.t, -1, i, "no delivery of %s to %s", intentID, to)
	return all[i]
}

// history returns the outcomes of the attempts of an intent's only delivery.
func (b *bundle) history(intentID string) []string {
	b.t.Helper()
	all := b.deliveries(intentID)
	require.Len(b.t, all, 1)
	return b.outcomes(all[0].ID)
}

type treeFunc func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error)

func (f treeFunc) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return f(ctx, p)
}

// stallWait is about what a job waits after trouble that is not the endpoint's.
const stallWait = time.Second

// subscription is a subscription as it is now.
func (b *bundle) subscription(id uuid.UUID) subscription.Subscription {
	b.t.Helper()
	sub, err := b.subs.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return *sub
}

// always starts a receiver that gives one answer to everything that it is not
// scripted for.
func (b *bundle) always(answer deliverytest.Answer) *deliverytest.Receiver {
	b.t.Helper()
	return b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer { return answer }})
}

// log is what a logger or a process has written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// listed are the subscriptions of a page.
func listed(page *subscription.Page, err error) ([]subscription.Subscription, error) {
	if err != nil {
		return nil, err
	}
	return page.Subscriptions, nil
}

// deliveriesOf are the deliveries of a page.
func deliveriesOf(page *delivery.DeliveryPage, err error) ([]delivery.Delivery, error) {
	if err != nil {
		return nil, err
	}
	return page.Deliveries, nil
}

// intentsOf are the intents of a page.
func intentsOf(page *delivery.IntentPage, err error) ([]delivery.IntentRecord, error) {
	if err != nil {
		return nil, err
	}
	return page.Intents, nil
}
