package delivery_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// guests is code of an application in every place that the engine calls. Each
// call does what visit says.
type guests struct {
	dialect.Dialect

	visit func(ctx context.Context, place string) error
}

func (g *guests) Name() string { return "guest" }

func (g *guests) Check(ctx context.Context, _ access.Request) error { return g.visit(ctx, "checker") }

func (g *guests) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return p.Ancestors(), g.visit(ctx, "tree")
}

func (g *guests) Externalize(ctx context.Context, ev dialect.Event) ([]byte, error) {
	return ev.Data, g.visit(ctx, "externalizer")
}

func (g *guests) Envelope(ev dialect.Event, data []byte) (dialect.Message, error) {
	if err := g.visit(context.Background(), "envelope"); err != nil {
		return dialect.Message{}, err
	}
	return g.Dialect.Envelope(ev, data)
}

func (g *guests) Request(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
	if err := g.visit(context.Background(), "request"); err != nil {
		return dialect.Request{}, err
	}
	return g.Dialect.Request(msg, to, at)
}

func (g *guests) failing(ctx context.Context, _ delivery.SubscriptionEvent) {
	_ = g.visit(ctx, "hook: failing")
}

func (g *guests) deactivated(ctx context.Context, _ delivery.SubscriptionEvent) {
	_ = g.visit(ctx, "hook: deactivated")
}

// guestPlaces are all of them.
var guestPlaces = []string{"checker", "envelope", "externalizer", "hook: deactivated", "hook: failing", "request", "tree"}

// invite makes the engine call the guests everywhere.
func (b *bundle) invite(visit func(ctx context.Context, place string) error) func(cfg *delivery.Config) {
	b.t.Helper()
	g := &guests{Dialect: dialect.Standard(), visit: visit}
	registry := b.dialects()
	require.NoError(b.t, registry.Register(g))
	checkers, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Second})
	require.NoError(b.t, err)
	require.NoError(b.t, checkers.RegisterDefault(g))
	externalizers := &delivery.Externalizers{}
	require.NoError(b.t, externalizers.Register("guest", "", "", g.Externalize))
	b.cfg.Dialects = registry
	b.subs = b.engine(nil).Subscriptions()
	return func(cfg *delivery.Config) {
		cfg.Access.Registry = checkers
		cfg.Externalize.Registry = externalizers
		cfg.Tree = g
		cfg.Externalize.Timeout, cfg.Timeouts.Hook = time.Second, time.Second
		cfg.Hooks = delivery.Hooks{SubscriptionDeactivated: g.deactivated, SubscriptionFailing: g.failing}
		cfg.Deactivation = subscription.DeactivationRules{Attempts: 1, Window: time.Hour}
		cfg.PollOnly = true // which needs no connection for itself
	}
}

// The pool has one connection, which host code needs as well: it would wait for
// it in vain if the engine held it.
func TestCallbacks_NoHostCodeRunsWhileTheEngineHoldsAConnection(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	alone := b.apartPool(func(cfg *pgxpool.Config) { cfg.MaxConns = 1 })
	var (
		mu     sync.Mutex
		visits = map[string]int{}
	)
	change := b.invite(func(ctx context.Context, place string) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		mu.Lock()
		visits[place]++
		mu.Unlock()
		if _, err := alone.Exec(ctx, `SELECT 1`); err != nil {
			t.Errorf("%s: %v", place, err)
			return err
		}
		return nil
	})
	cfg := b.cfg
	change(&cfg)
	engine, err := delivery.New(alone, &cfg)
	require.NoError(t, err)
	good := b.receiver(nil)
	b.subscribe(good, func(s *subscription.Spec) { s.Dialect = "guest" })
	bad := b.always(deliverytest.Answer{Status: 500})
	failing := b.subscribe(bad, func(s *subscription.Spec) { s.Dialect, s.Schedule = "guest", "twice" })

	for range 3 {
		b.enqueue(nil)
	}
	b.drain(engine)
	for range 2 { // half of the window is over: a warning; then all of it
		b.pass(40 * time.Minute)
		b.drain(engine)
	}
	b.start(engine) // and so it is when River runs it
	b.enqueue(nil)
	b.wait(good, 4)

	require.Equal(t, subscription.StateDeactivated, b.subscription(failing.ID).State)
	mu.Lock()
	defer mu.Unlock()
	for _, place := range guestPlaces {
		require.Positive(t, visits[place], place)
	}
}

func TestCallbacks_HostCodeThatPanicsHarmsItsOwnCallAlone(t *testing.T) {
	t.Parallel()
	testMisbehaviour(t, func() { panic("no manners") })
}

// It looks at no context and comes back when the test is over.
func TestCallbacks_HostCodeThatDoesNotReturnHarmsItsOwnCallAlone(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	testMisbehaviour(t, func() { <-over })
}

// testMisbehaviour lets the guest in one place misbehave once, the first time that
// it is called. All goes on, and everything arrives in the end.
func testMisbehaviour(t *testing.T, misbehave func()) {
	t.Helper()
	for _, where := range guestPlaces {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var misbehaved atomic.Bool
			visited := make(chan struct{}, 100)
			engine := b.engine(b.invite(func(_ context.Context, place string) error {
				if place == where {
					visited <- struct{}{}
					if misbehaved.CompareAndSwap(false, true) {
						misbehave()
					}
				}
				return nil
			}))
			good, plain := b.receiver(nil), b.receiver(nil)
			b.subscribe(good, func(s *subscription.Spec) { s.Dialect, s.Schedule = "guest", "soon" })
			b.subscribe(plain, operatorOnly)
			bad := b.always(deliverytest.Answer{Status: 500})
			failing := b.subscribe(bad, func(s *subscription.Spec) { s.Dialect, s.Schedule = "guest", "twice" })

			id := b.enqueue(nil)
			for range 10 { // until what is tried again later is due
				_, err := engine.RunDue(t.Context())
				if err != nil {
					require.Equal(t, "tree", where, "only an expansion that fails is an error of its job: %v", err)
				}
				b.pass(15 * time.Minute)
			}

			require.NotEmpty(t, visited)
			require.NotEmpty(t, received(good, id))
			require.NotEmpty(t, received(plain, id))
			if where != "request" { // which can have been this one's only
				require.NotEmpty(t, received(bad, id))
			}
			require.Equal(t, subscription.StateDeactivated, b.subscription(failing.ID).State)
		})
	}
}

// tooMany answers one question more than it was asked.
type tooMany struct{ access.Checker }

func (tooMany) CheckMany(_ context.Context, rs []access.Request) []error {
	return make([]error, len(rs)+1)
}

func TestCallbacks_ACheckManyOfTheWrongLengthIsAnErrorForAll(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	first, _ := b.subscribeAs("ada")
	second, _ := b.subscribeAs("bob")
	operator := b.receiver(nil)
	b.subscribe(operator, operatorOnly)

	id := b.enqueue(nil)
	b.drain(b.guardedBy(tooMany{}))

	require.Empty(t, first.Requests())
	require.Empty(t, second.Requests())
	require.Len(t, operator.Requests(), 1)
	require.Len(t, b.decisions(id), 2)
	for _, d := range b.decisions(id) {
		require.Equal(t, "waiting", d[0])
		require.Contains(t, d[1], "3 answers to 2 requests")
	}

	b.pass(time.Minute)
	b.drain(b.engine(nil))
	require.Len(t, first.Requests(), 1)
	require.Len(t, second.Requests(), 1)
}

func TestHooks_EachGetsADeadline(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var logged log
	b.subscribe(b.always(deliverytest.Answer{Status: 410}), nil)
	ends := make(chan time.Duration, 1)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Timeouts.Hook, cfg.Logger = time.Millisecond, logged.logger()
		cfg.Hooks.SubscriptionDeactivated = func(ctx context.Context, _ delivery.SubscriptionEvent) {
			deadline, _ := ctx.Deadline()
			ends <- time.Until(deadline)
			<-ctx.Done()
		}
	})
	b.enqueue(func(in *outbox.Intent) { in.Type = "user.deleted" })
	b.drain(engine)

	require.LessOrEqual(t, <-ends, time.Millisecond)
	require.Contains(t, logged.String(), fmt.Sprintf("no answer within %s", time.Millisecond))
}
