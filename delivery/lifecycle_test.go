package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// acquiring counts those that have asked a pool for a connection.
type acquiring struct{ atomic.Int64 }

func (a *acquiring) TraceAcquireStart(
	ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	a.Add(1)
	return ctx
}

func (*acquiring) TraceAcquireEnd(context.Context, *pgxpool.Pool, pgxpool.TraceAcquireEndData) {}

func (*acquiring) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*acquiring) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func tracedBundle(t *testing.T) (*bundle, *acquiring) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.Database(t))
	require.NoError(t, err)
	cfg.MaxConns = 3
	tracer := &acquiring{}
	cfg.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return bundleOn(t, pool), tracer
}

// exhaust takes all connections of a pool, until the test ends or giveBack is called.
func (b *bundle) exhaust() (giveBack func()) {
	b.t.Helper()
	conns := make([]*pgxpool.Conn, 0, b.pool.Config().MaxConns)
	for range b.pool.Config().MaxConns {
		conn, err := b.pool.Acquire(b.t.Context())
		require.NoError(b.t, err)
		conns = append(conns, conn)
	}
	giveBack = func() {
		for _, conn := range conns {
			conn.Release()
		}
		conns = nil
	}
	b.t.Cleanup(func() { giveBack() })
	return giveBack
}

// promptly fails the test if f waits for a connection, which it would get at the end of the
// test only.
func (b *bundle) promptly(f func()) {
	b.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		require.FailNow(b.t, "it waits for a connection")
	}
}

func TestReady_WaitsForNoConnection(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(ctx context.Context, engine *delivery.Engine) error{
		"Start": func(ctx context.Context, engine *delivery.Engine) error { return engine.Start(ctx) },
		"RunDue": func(ctx context.Context, engine *delivery.Engine) error {
			_, err := engine.RunDue(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, acquiring := tracedBundle(t)
			engine := b.engine(nil)
			b.exhaust()
			before := acquiring.Load()
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- begin(ctx, engine) }()
			b.eventually(func() bool { return acquiring.Load() > before })

			b.promptly(func() { require.ErrorIs(t, engine.Ready(), delivery.ErrNotStarted) })

			cancel()
			require.Error(t, <-ended)
		})
	}
}

// A Start that waits for a connection is ended, and what it has begun does not run.
func TestStop_EndsAStartThatIsUnderWay(t *testing.T) {
	t.Parallel()
	b, acquiring := tracedBundle(t)
	engine := b.engine(nil)
	giveBack := b.exhaust()
	before := acquiring.Load()
	started := make(chan error, 1)
	go func() { started <- engine.Start(context.Background()) }()
	b.eventually(func() bool { return acquiring.Load() > before })

	b.promptly(func() { require.NoError(t, engine.Stop(t.Context())) })

	require.ErrorIs(t, <-started, delivery.ErrNotStarted)
	giveBack()
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.engine`))
	require.NoError(t, engine.Start(t.Context()))
	require.NoError(t, engine.Ready())
	require.NoError(t, engine.Stop(t.Context()))
}

// The answer comes when the pool has no connection to record it, and the context has ended.
func TestStop_EndsWithItsContextWithoutAConnection(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true})
	b.subscribe(r, patient)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.PollOnly = true // no connection is held for LISTEN
		cfg.Timeouts.Stop = time.Hour
	})
	require.NoError(t, engine.Start(context.Background()))
	id := b.enqueue(nil)
	b.wait(r, 1)
	giveBack := b.exhaust()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	b.promptly(func() { require.ErrorContains(t, engine.Stop(ctx), "could be recorded in time") })
	b.promptly(func() { require.Error(t, engine.Stop(ctx)) })
	b.promptly(func() { require.ErrorIs(t, engine.Ready(), delivery.ErrNotStarted) })

	giveBack()
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	b.start(b.engine(nil))
	b.wait(r, 2)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
}

// A second Stop has a context of its own.
func TestStop_ASecondOneEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Hang: true})
	b.subscribe(r, patient)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Stop = time.Hour })
	require.NoError(t, engine.Start(context.Background()))
	b.enqueue(nil)
	b.wait(r, 1)
	first, end := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- engine.Stop(first) }()
	b.eventually(func() bool { return engine.Ready() != nil })
	second, cancel := context.WithCancel(t.Context())
	cancel()

	b.promptly(func() { require.ErrorIs(t, engine.Stop(second), context.Canceled) })

	end()
	require.ErrorContains(t, <-stopped, "requests were interrupted")
}
