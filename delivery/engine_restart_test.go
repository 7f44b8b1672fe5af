package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgserver"
	"github.com/riverhook/riverhook/outbox"
)

// crashingBundle is a bundle on a Postgres of its own, that keeps what it has
// committed, and what crashes that Postgres: it kills one of its processes, upon
// which it ends all others and starts again from what is on disk.
func crashingBundle(t *testing.T) (b *bundle, crash func()) {
	t.Helper()
	server, err := pgserver.Start(t.Context(), &pgserver.Opts{Private: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	pool, err := pgxPool(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, outbox.Migrate(t.Context(), pool, nil))
	b = bundleOn(t, pool)
	connect := func() *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), server.URL())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
		return conn
	}
	return b, func() {
		victim, witness := connect(), connect()
		_, err := victim.Exec(t.Context(), fmt.Sprintf(`COPY (SELECT 1) TO PROGRAM 'kill -KILL %d'`, victim.PgConn().PID()))
		require.Error(t, err)
		b.eventually(func() bool { return witness.Ping(t.Context()) != nil })
		pool.Reset()
		b.eventually(func() bool { return pool.Ping(t.Context()) == nil })
	}
}

func TestDatabase_ARestartLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	b, crash := crashingBundle(t)
	engine := b.apart(nil)
	receiver := b.always(deliverytest.Answer{Delay: 5 * time.Millisecond})
	b.subscribe(receiver, patient)
	b.start(engine)
	const n = 600

	for half := range 2 {
		b.enqueueMany("some.event", n/2)
		b.wait(receiver, half*n/2+n/4)
		crash()
	}

	require.Zero(t, b.requireAllTold(receiver, n), "what is answered is recorded as soon as that can be")
	require.NoError(t, engine.Ready())
}
