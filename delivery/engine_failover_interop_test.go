//go:build interop

package delivery_test

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgserver"
	"github.com/riverhook/riverhook/outbox"
)

// outage is how long a failover takes here: long enough that each engine would take
// the others for dead.
const outage = 40 * time.Second

func TestFailover_ASettingForFortySeconds(t *testing.T) {
	t.Parallel()
	readOnly(t, newBundle(t), func(*pgxpool.Conn) { <-time.After(outage) })
}

// address is a TCP address that leads to one server and later to another, as a name
// or a virtual IP does. Connections stay where they were made.
type address struct {
	listener net.Listener
	server   atomic.Pointer[string]

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newAddress(t *testing.T) *address {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	a := &address{listener: listener, conns: map[net.Conn]struct{}{}}
	var carried sync.WaitGroup
	carried.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			carried.Go(func() { a.carry(client) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		a.cut()
		carried.Wait()
	})
	return a
}

func (a *address) carry(client net.Conn) {
	defer client.Close()
	to := a.server.Load()
	if to == nil {
		return
	}
	server, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer server.Close()
	a.mu.Lock()
	a.conns[client] = struct{}{}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.conns, client)
	}()
	var up sync.WaitGroup
	up.Go(func() {
		defer server.Close()
		forward(server, client, func([]byte) bool { return true })
	})
	forward(client, server, func([]byte) bool { return true })
	_ = client.Close()
	up.Wait()
}

// lead has new connections go to a server; nil refuses them.
func (a *address) lead(to *string) { a.server.Store(to) }

// cut ends the connections that there are.
func (a *address) cut() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for client := range a.conns {
		_ = client.Close()
	}
}

// replicated is a bundle whose engines reach a pair of servers by one address.
type replicated struct {
	*failover

	address          *address
	primary, standby *pgserver.Server
	first, second    *pgx.Conn // of the primary and of the standby
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	primary, standby, err := pgserver.StartPair(t.Context(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = primary.Close(), standby.Close() })
	r := &replicated{
		address: newAddress(t),
		primary: primary,
		standby: standby,
	}
	connect := func(server *pgserver.Server) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), server.URL())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	r.first, r.second = connect(primary), connect(standby)
	r.address.lead(hostOf(t, primary))
	pool := func() *pgxpool.Pool {
		cfg, err := pgxpool.ParseConfig(primary.URL())
		require.NoError(t, err)
		cfg.MaxConns = 20
		cfg.ConnConfig.Host, cfg.ConnConfig.Port = "127.0.0.1", uint16(r.address.listener.Addr().(*net.TCPAddr).Port)
		cfg.ConnConfig.Fallbacks = nil
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pool
	}
	ours := pool()
	require.NoError(t, outbox.Migrate(t.Context(), ours, nil))
	r.failover = bundleOn(t, ours).failover(200, [2]*pgxpool.Pool{pool(), pool()})
	return r
}

func hostOf(t *testing.T, server *pgserver.Server) *string {
	t.Helper()
	cfg, err := pgx.ParseConfig(server.URL())
	require.NoError(t, err)
	host := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	return &host
}

// awaitReplay waits until the standby has all that the primary has, which nobody writes
// to any more.
func (r *replicated) awaitReplay() {
	r.t.Helper()
	r.eventually(func() bool {
		var written string
		var replayed bool
		require.NoError(r.t, r.first.QueryRow(r.t.Context(), `SELECT pg_current_wal_flush_lsn()::text`).Scan(&written))
		require.NoError(r.t, r.second.QueryRow(r.t.Context(), `SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn`, written).Scan(&replayed))
		return replayed
	})
}

// toStandby has the address lead to the standby, which only reads.
func (r *replicated) toStandby() {
	r.t.Helper()
	r.address.lead(nil)
	r.address.cut()
	r.awaitReplay()
	r.address.lead(hostOf(r.t, r.standby))
	close(r.answer)
	r.eventually(func() bool { return r.saidByBoth(outageBegins) })
}

// The primary ends, and after 40 s its standby is promoted.
func TestFailover_AStandbyThatIsPromotedAfterFortySeconds(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)

	r.toStandby()
	require.NoError(t, r.primary.Close())
	<-time.After(outage)
	_, err := r.second.Exec(t.Context(), `SELECT pg_promote()`)
	require.NoError(t, err)
	r.pool.Reset() // of the test
	r.requireHealed()
}

// The address leads to the reader for 40 s and then back. The sessions with the reader
// live on.
func TestFailover_AReaderForFortySeconds(t *testing.T) {
	t.Parallel()
	r := newReplicated(t)

	r.toStandby()
	<-time.After(outage)
	r.address.lead(hostOf(t, r.primary))
	r.pool.Reset() // of the test
	r.requireHealed()
}
