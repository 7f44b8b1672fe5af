package delivery_test

import (
	"bytes"
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

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
)

// apart makes an engine on connections of its own, which are named "engine" and
// are as change leaves them.
func (b *bundle) apart(change func(cfg *pgxpool.Config)) *delivery.Engine {
	b.t.Helper()
	engine, err := delivery.New(b.apartPool(change), &b.cfg)
	require.NoError(b.t, err)
	return delivery.HandOnAtOnce(engine)
}

// apartPool is another pool to the same database.
func (b *bundle) apartPool(change func(cfg *pgxpool.Config)) *pgxpool.Pool {
	b.t.Helper()
	poolCfg := b.pool.Config()
	poolCfg.ConnConfig.RuntimeParams["application_name"] = "engine"
	if change != nil {
		change(poolCfg)
	}
	pool, err := pgxpool.NewWithConfig(b.t.Context(), poolCfg)
	require.NoError(b.t, err)
	b.t.Cleanup(pool.Close)
	return pool
}

// requireAllTold waits until n events are delivered to the only subscription,
// and nothing is left to do. Each has one delivery, which was delivered once; what
// arrived more often is in the history as interrupted. It returns how often
// something arrived again.
func (b *bundle) requireAllTold(r *deliverytest.Receiver, n int) (again int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { // a job that is lost on its way to an engine takes 15 s
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == n &&
			b.count(`SELECT count(*) FROM riverhook.river_job WHERE state <> 'completed'`) == 0
	}, 40*time.Second, 20*time.Millisecond)
	require.Equal(b.t, n, b.count(`SELECT count(*) FROM riverhook.delivery`))
	require.Zero(b.t, b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state <> 'expanded'`))
	require.Equal(b.t, n, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'delivered'`), "none is recorded twice")
	require.Zero(b.t, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome NOT IN ('delivered', 'interrupted')`))
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT i.wire_id, count(*)::integer FROM riverhook.attempt a
		JOIN riverhook.delivery d ON d.id = a.delivery_id JOIN riverhook.intent i ON i.id = d.intent_id GROUP BY i.wire_id`)
	require.NoError(b.t, err)
	recorded := map[string]int{}
	var (
		id       string
		attempts int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &attempts}, func() error {
		recorded[id] = attempts
		return nil
	})
	require.NoError(b.t, err)
	arrived := map[string]int{}
	for _, req := range r.Requests() {
		arrived[req.ID()]++
	}
	require.Len(b.t, arrived, n)
	for id, times := range arrived {
		require.LessOrEqual(b.t, times, recorded[id], "%s arrived without being recorded", id)
		again += times - 1
	}
	return again
}

// All connections of the engine are cut again and again while it works, the one
// that listens among them.
func TestDatabase_ConnectionsThatAreCutLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.apart(nil)
	receiver := b.always(deliverytest.Answer{Delay: 5 * time.Millisecond})
	b.subscribe(receiver, patient)
	b.start(engine)
	const n, cuts = 400, 16
	b.enqueueMany("some.event", n)

	listening := 0
	for i := range cuts {
		b.wait(receiver, (i+1)*n/cuts)
		listening += b.count(`
			WITH cut AS MATERIALIZED (
				SELECT query LIKE 'LISTEN %' AS listened, pg_terminate_backend(pid) AS was_cut FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'engine')
			SELECT count(*) FROM cut WHERE listened AND was_cut`)
	}

	require.Positive(t, listening)
	require.Zero(t, b.requireAllTold(receiver, n), "what is answered is recorded by another connection")
}

// cable is a TCP proxy in front of Postgres. While it loses something, what the
// server answers to statements that contain that text does not arrive, and the
// connection is cut: the statement has taken effect, and its client cannot know.
type cable struct {
	server string
	loses  atomic.Pointer[string]
}

// lay puts a cable in front of the server of a pool's configuration.
func (c *cable) lay(t *testing.T, cfg *pgxpool.Config) {
	t.Helper()
	c.server = net.JoinHostPort(cfg.ConnConfig.Host, strconv.Itoa(int(cfg.ConnConfig.Port)))
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { c.carry(client) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		conns.Wait()
	})
	cfg.ConnConfig.Host = "127.0.0.1"
	cfg.ConnConfig.Port = uint16(listener.Addr().(*net.TCPAddr).Port)
	cfg.ConnConfig.Fallbacks = nil
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // so that the statements pass by as text
}

func (c *cable) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var (
		lost atomic.Bool
		up   sync.WaitGroup
	)
	up.Go(func() {
		defer server.Close()
		forward(server, client, func(statement []byte) bool {
			if loses := c.loses.Load(); loses != nil && bytes.Contains(statement, []byte(*loses)) {
				lost.Store(true)
			}
			return true
		})
	})
	forward(client, server, func([]byte) bool { return !lost.Load() })
	_ = client.Close()
	up.Wait()
}

// forward copies until one side closes or ok is false.
func forward(to, from net.Conn, ok func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || !ok(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// loseAFetch lets a running engine fetch the job of a new intent, and the answer
// that carries the job to it be lost.
func (b *bundle) loseAFetch(c *cable) (intentID string) {
	b.t.Helper()
	fetch := "locked_jobs"
	c.loses.Store(&fetch)
	intentID = b.enqueue(nil)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`) == 1 })
	c.loses.Store(nil)
	return intentID
}

func TestRiver_AJobThatWasLostOnItsWayToTheEngineIsFetchedAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var c cable
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.start(b.apart(func(cfg *pgxpool.Config) { c.lay(t, cfg) }))

	id := b.loseAFetch(&c)
	require.Empty(t, receiver.Requests())
	// The test does not wait until a job that has just been fetched must have come.
	b.fetchedEarlier("15 seconds")

	b.wait(receiver, 1)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'completed'`) == 1 })
	require.Equal(t, []string{"delivered"}, b.history(id))
}

func TestStop_LeavesNoJobBehind(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var c cable
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	engine := b.apart(func(cfg *pgxpool.Config) { c.lay(t, cfg) })
	require.NoError(t, engine.Start(t.Context()))
	b.loseAFetch(&c)

	require.NoError(t, engine.Stop(context.Background()))

	require.Equal(t, "available", b.text(`SELECT state::text FROM riverhook.river_job`))
	b.drain(b.engine(nil))
	require.Len(t, receiver.Requests(), 1)
}

// The engine does something, and the answer that tells it so is lost.
func TestDatabase_WhatTookEffectUnnoticedIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	for table, statement := range map[string]string{"delivery": "CommitExpansions", "attempt": "RecordAttempts"} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var c cable
			receiver := b.receiver(nil)
			b.subscribe(receiver, nil)
			b.start(b.apart(func(cfg *pgxpool.Config) { c.lay(t, cfg) }))
			c.loses.Store(&statement)

			id := b.enqueue(nil)
			b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.`+table) == 1 })
			c.loses.Store(nil)

			b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'completed'`) == 1 })
			require.Len(t, receiver.Requests(), 1)
			require.Equal(t, []string{"delivered"}, b.history(id))
			require.Equal(t, 1, b.deliveries(id)[0].Attempts)
		})
	}
}

// A failure that is recorded, and recorded once more because the answer was
// lost, counts once against the subscription.
func TestRecord_AFailureThatIsRecordedTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var c cable
	r, sub := b.rejecting()
	b.start(b.apart(func(cfg *pgxpool.Config) { c.lay(t, cfg) }))
	commit := "commit"
	c.loses.Store(&commit)

	id := b.enqueue(nil)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.attempt`) == 1 })
	c.loses.Store(nil)

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'completed'`) == 1 })
	require.Len(t, r.Requests(), 1)
	require.Equal(t, []string{"rejected"}, b.history(id))
	require.Equal(t, 1, b.count(`SELECT failed_attempts FROM riverhook.subscription_health WHERE subscription_id = $1`, sub))
}
