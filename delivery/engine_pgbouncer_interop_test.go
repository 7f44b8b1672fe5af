//go:build interop

package delivery_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// A pooled bundle reaches its database through PgBouncer in transaction mode,
// which has few connections: what a client leaves behind in a session meets
// others there, and what a client needs in a session is gone at its next turn.
type pooled struct {
	*bundle

	notified *atomic.Int32 // notifications that reached connections of the pool
	size     int           // PgBouncer's connections
}

func newPooled(t *testing.T, mode string, size int) *pooled {
	t.Helper()
	b := newBundle(t)
	p := &pooled{
		bundle:   b,
		notified: &atomic.Int32{},
		size:     size,
	}
	bouncer := pgtest.StartPgBouncer(t, b.pool.Config().ConnString(), map[string]string{
		"default_pool_size":  strconv.Itoa(size),
		"query_wait_timeout": "10", // seconds: who holds a connection and waits for another gives up
		"server_round_robin": "1",  // a client's next transaction is on another connection, where there is one
	})
	cfg, err := pgxpool.ParseConfig(bouncer.URL + "&default_query_exec_mode=" + mode)
	require.NoError(t, err)
	cfg.MaxConns = 20
	cfg.ConnConfig.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { p.notified.Add(1) }
	b.pool, err = pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(b.pool.Close)
	b.subs = b.engine(nil).Subscriptions()
	return p
}

// run starts an engine, as start does, and returns what stops it before the
// end of the test.
func (p *pooled) run(engine *delivery.Engine) (stop func()) {
	p.t.Helper()
	p.start(engine)
	return func() { require.NoError(p.t, engine.Stop(context.WithoutCancel(p.t.Context()))) }
}

// leftBehind lists what there is in the sessions of all of PgBouncer's
// connections, which it takes all at once for that.
func (p *pooled) leftBehind() []string {
	p.t.Helper()
	pids := map[uint32]bool{}
	found := []string{}
	for range p.size {
		tx, err := p.pool.Begin(p.t.Context())
		require.NoError(p.t, err)
		p.t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(p.t.Context())) })
		var pid uint32
		require.NoError(p.t, tx.QueryRow(p.t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
		pids[pid] = true
		rows, err := tx.Query(p.t.Context(), `
			SELECT 'prepared ' || statement FROM pg_prepared_statements
			UNION ALL SELECT 'listens to ' || channel FROM pg_listening_channels() channel
			UNION ALL SELECT 'set ' || name || ' = ' || setting FROM pg_settings WHERE source = 'session'
			UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE is_holdable
			UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
			UNION ALL SELECT 'locked ' || objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`)
		require.NoError(p.t, err)
		found, err = pgx.AppendRows(found, rows, pgx.RowTo[string])
		require.NoError(p.t, err)
	}
	require.Len(p.t, pids, p.size)
	return found
}

// One connection shows that nothing needs a second one while it holds the
// first; two, in turns, that nothing needs the same one again.
func TestPgBouncer_WithPollOnlyEnginesWorkBehindIt(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"exec", "simple_protocol", "cache_describe"} {
		for _, size := range []int{1, 2} {
			t.Run(mode+" over "+strconv.Itoa(size), func(t *testing.T) {
				t.Parallel()
				p := newPooled(t, mode, size)
				sites, err := hierarchy.NewSites(p.pool, nil)
				require.NoError(t, err)
				for _, path := range []hierarchy.Path{"/noaa", "/noaa/nws", "/noaa/nws/oun"} {
					_, err := sites.Create(t.Context(), path)
					require.NoError(t, err)
				}
				checkers := p.checkers(access.CheckerFunc(func(_ context.Context, r access.Request) error {
					if r.Principal == "mallory" {
						return access.ErrDenied
					}
					return nil
				}))
				here := func(owner string) func(*subscription.Spec) {
					return func(spec *subscription.Spec) { spec.Owner, spec.Site = owner, "/noaa" }
				}
				receiver, second := p.receiver(nil), p.receiver(nil)
				receiver.Script(deliverytest.Answer{Status: 500, Body: []byte("not now")})
				sub := p.subscribe(receiver, here("ada"))
				denied := p.subscribe(receiver, here("mallory"))
				paused := p.subscribe(second, here("ada"))
				_, err = p.subs.Pause(t.Context(), paused.ID)
				require.NoError(t, err)
				configure := func(cfg *delivery.Config) {
					cfg.Access.Registry = checkers
					cfg.PollOnly = true
					cfg.Tree = sites
				}
				engine := p.engine(configure)
				stop, stopOther := p.run(engine), p.run(p.engine(configure))

				id := p.enqueue(nil)
				p.wait(receiver, 2)
				p.eventually(func() bool { return p.delivery(id, sub.ID).State == "delivered" })
				const more = 100
				p.enqueueMany(more)
				p.wait(receiver, 2+more)
				p.eventually(func() bool { return p.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'paused'`) == 1+more })
				_, err = p.subs.Activate(t.Context(), paused.ID, nil)
				require.NoError(t, err)
				p.wait(second, 1+more)
				p.eventually(func() bool { return p.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'pending'`) == 0 })
				first := p.delivery(id, sub.ID)
				require.NoError(t, engine.Redeliver(t.Context(), first.ID))
				p.wait(receiver, 3+more)
				p.eventually(func() bool { return p.delivery(id, sub.ID).State == "delivered" })

				require.Equal(t, []string{"failed", "delivered", "delivered"}, p.outcomes(first.ID))
				require.Equal(t, "denied", p.decisions(id)[denied.ID][0])
				attempts, err := engine.History().Attempts(t.Context(), first.ID)
				require.NoError(t, err)
				require.Equal(t, "not now", string(attempts[0].ResponseBody))
				listed, err := deliveriesOf(engine.History().Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: sub.ID, Limit: 1000}))
				require.NoError(t, err)
				require.Len(t, listed, 1+more)
				explanation, err := engine.Explain(t.Context(), id)
				require.NoError(t, err)
				require.Contains(t, explanation.String(), "delivered at attempt")
				stats, err := engine.History().Stats(t.Context())
				require.NoError(t, err)
				require.Equal(t, 2, stats.Engines)
				require.Len(t, receiver.Requests(), 3+more, "each arrived once, and twice what was asked for twice")
				require.Len(t, second.Requests(), 1+more)

				stop()
				stopOther()
				require.Empty(t, p.leftBehind())
				require.Zero(t, p.notified.Load())
			})
		}
	}
}

// enqueueMany commits n intents at /noaa/nws/oun at once.
func (p *pooled) enqueueMany(n int) {
	p.t.Helper()
	intents := make([]outbox.Intent, n)
	for i := range intents {
		intents[i] = outbox.Intent{
			Type:     "user.created",
			Site:     "/noaa/nws/oun",
			Resource: access.Resource{Kind: "user", ID: strconv.Itoa(i)},
		}
	}
	require.NoError(p.t, pgx.BeginFunc(p.t.Context(), p.pool, func(tx pgx.Tx) error {
		_, err := p.outbox.EnqueueMany(p.t.Context(), tx, intents)
		return err
	}))
}

// PgBouncer takes LISTEN for a statement like any other: it stays with the
// connection on which it happened to run, whoever has that next.
func TestPgBouncer_WithoutPollOnlyAnEngineBehindItDeliversByPolling(t *testing.T) {
	t.Parallel()
	p := newPooled(t, "exec", 1)
	receiver := p.receiver(nil)
	p.subscribe(receiver, nil)
	p.start(p.engine(nil))
	p.eventually(func() bool { return p.count(`SELECT count(*) FROM pg_listening_channels()`) > 0 })

	for n := 1; n <= 3 || p.notified.Load() == 0; n++ {
		p.enqueue(nil)
		p.wait(receiver, n)
	}
}

// The engine starts or not, by which of PgBouncer's connections its statements
// meet; what goes wrong is said either way.
func TestPgBouncer_ThePgxDefaultOfPreparedStatementsFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	p := newPooled(t, "cache_statement", 2)
	lines := &logged{}
	engine := p.engine(func(cfg *delivery.Config) {
		cfg.PollOnly, cfg.Logger = true, slog.New(slog.NewTextHandler(lines, nil))
	})

	err := engine.Start(t.Context())
	if err != nil {
		_, _ = io.WriteString(lines, err.Error())
	}
	p.eventually(func() bool { return lines.contains("prepared statement") })

	err = engine.Stop(context.WithoutCancel(t.Context()))
	var pgErr *pgconn.PgError
	require.True(t, err == nil || errors.As(err, &pgErr), "%v", err)
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) contains(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}
