package delivery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
)

const (
	outageBegins = "the database cannot be written"
	outageEnds   = "the database can be written again"

	// healed is how soon events are delivered after the writer is back, beyond what its
	// transactions take on a busy machine.
	healed = 5 * time.Second

	// transactions is how many transactions an event waits for after its own: a heartbeat,
	// and those that fetch its job, commit its expansion and record its attempt.
	transactions = 4
)

// failover is two engines with requests under way whose answers have not come.
type failover struct {
	*bundle

	answer   chan struct{} // closed to let the answers come
	receiver *deliverytest.Receiver
	said     [2]log
	under    int // requests under way
}

// failover starts engines on the pools, which leave others the time that engines do.
func (b *bundle) failover(n int, pools [2]*pgxpool.Pool) *failover {
	b.t.Helper()
	f := &failover{
		bundle: b,
		answer: make(chan struct{}),
		under:  n,
	}
	f.receiver = b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-f.answer
		return deliverytest.Answer{}
	}})
	b.subscribe(f.receiver, patient)
	for i, pool := range pools {
		cfg := b.cfg
		cfg.Logger, cfg.Limits.InFlightPerEndpoint = f.said[i].logger(), n
		engine, err := delivery.New(pool, &cfg)
		require.NoError(b.t, err)
		b.start(engine)
	}
	b.enqueueMany("some.event", n)
	b.wait(f.receiver, n)
	return f
}

// saidByBoth is true when each engine has written a line.
func (f *failover) saidByBoth(line string) bool {
	return strings.Contains(f.said[0].String(), line) && strings.Contains(f.said[1].String(), line)
}

// requireHealed has one more event delivered soon, and nothing repeated, in silence.
func (f *failover) requireHealed() {
	f.t.Helper()
	back := time.Now()
	id := f.enqueue(nil)
	once := time.Since(back)
	require.Eventually(f.t, func() bool {
		all := f.deliveries(id)
		return len(all) == 1 && all[0].State == "delivered"
	}, time.Minute, 10*time.Millisecond)
	took := time.Since(back)
	f.eventually(func() bool { return f.saidByBoth(outageEnds) }) // the other engine's heartbeat can come later

	again := f.requireAllTold(f.receiver, f.under+1)
	said := f.said[0].String() + f.said[1].String()
	f.t.Logf("%d of %d requests repeated, %d ERROR and %d WARN lines, delivered %s after the writer was back", again, f.under,
		errorLines(said), strings.Count(said, "level=WARN"), took.Round(time.Millisecond))
	require.Less(f.t, took, healed+transactions*once)
	require.Zero(f.t, again, "what was answered meanwhile is recorded")
	require.Zero(f.t, f.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'interrupted'`))
	for i := range f.said {
		require.Zero(f.t, errorLines(f.said[i].String()), f.said[i].String())
		require.Equal(f.t, 1, strings.Count(f.said[i].String(), outageBegins), f.said[i].String())
		require.Equal(f.t, 1, strings.Count(f.said[i].String(), outageEnds), f.said[i].String())
	}
}

// errorLines counts the lines about errors, but for those of sessions that were cut.
func errorLines(said string) int {
	n := 0
	for line := range strings.Lines(said) {
		cut := slices.ContainsFunc([]string{"SQLSTATE 57P01", "unexpected EOF", "connection reset by peer"}, func(of string) bool {
			return strings.Contains(line, of)
		})
		if strings.Contains(line, "level=ERROR") && !cut {
			n++
		}
	}
	return n
}

// waitFailing waits until n more transactions have failed.
func (b *bundle) waitFailing(n int) {
	b.t.Helper()
	const query = `SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()`
	before := b.count(query)
	b.eventually(func() bool { return b.count(query) >= before+n })
}

// The sessions of the engines are cut, those that they open instead cannot write, and
// each heartbeat is old when the writer is back.
func TestFailover_ASettingThatLeavesSessionsReadOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	readOnly(t, b, func(admin *pgxpool.Conn) {
		b.waitFailing(20)
		_, err := admin.Exec(t.Context(), `UPDATE riverhook.engine SET heartbeat_at = now() - interval '40 seconds'`)
		require.NoError(t, err)
	})
}

// readOnly has the database of a bundle read-only while the answers come and during
// runs, by a setting that each session takes up when it begins. admin can write.
func readOnly(t *testing.T, b *bundle, during func(admin *pgxpool.Conn)) {
	t.Helper()
	f := b.failover(200, [2]*pgxpool.Pool{b.apartPool(nil), b.apartPool(nil)})
	admin, err := b.pool.Acquire(t.Context())
	require.NoError(t, err)
	defer admin.Release()
	database := admin.Conn().Config().Database
	set := func(statement string) {
		_, err := admin.Exec(t.Context(), `ALTER DATABASE "`+database+`" `+statement)
		require.NoError(t, err)
	}
	cut := func() {
		_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'engine'`)
		require.NoError(t, err)
	}

	set("SET default_transaction_read_only = on")
	cut()
	close(f.answer)
	b.eventually(func() bool { return f.saidByBoth(outageBegins) })
	during(admin)
	set("RESET default_transaction_read_only")
	b.pool.Reset() // of the test
	f.requireHealed()
}
