package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// carriedBy are the events that the jobs of an engine carry and that are not
// recorded.
func (b *bundle) carriedBy(engineID string) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT i.wire_id FROM riverhook.river_job j
		JOIN riverhook.delivery d ON d.job_id = j.id AND d.state = 'pending'
		JOIN riverhook.intent i ON i.id = d.intent_id
		JOIN riverhook.engine e ON e.process = j.attempted_by[array_length(j.attempted_by, 1)]
		WHERE j.state = 'running' AND e.id = $1`, engineID)
	require.NoError(b.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return ids
}

// One of two engines is killed now and then and another takes its place, River's
// leader not spared.
func TestCrash_KillsAtRandomMomentsLoseNothing(t *testing.T) {
	t.Parallel()
	const n, kills = 600, 6
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	b := newBundle(t)
	receiver := b.always(deliverytest.Answer{Delay: 10 * time.Millisecond})
	b.subscribe(receiver, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Schedule = "patient"
	})
	type running struct {
		*child

		id string
	}
	var (
		engines []running
		started int
	)
	start := func() {
		started++
		id := fmt.Sprintf("engine %d", started)
		engines = append(engines, running{startChild(t, childTask{
			Role:     "engine",
			Database: b.pool.Config().ConnString(),
			EngineID: id,
		}), id})
	}
	start()
	start()
	engines[0].awaitStart(t)
	engines[1].awaitStart(t)
	b.enqueueMany("some.event", n)

	carried := map[string]int{} // how often an event was under way when its engine was killed
	for k := range kills {
		moment := (float64(k) + random.Float64()) / kills
		b.wait(receiver, 1+int(moment*(n-100)))
		i := random.IntN(len(engines))
		victim := engines[i]
		engines = slices.Delete(engines, i, i+1)
		victim.kill(t)
		for _, id := range b.carriedBy(victim.id) {
			carried[id]++
		}
		// The test does not wait out the heartbeat.
		b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE id = $1`, victim.id)
		start()
		engines[1].awaitStart(t)
	}

	t.Logf("%d arrived again", b.requireAllTold(receiver, n))
	arrived := map[string]int{}
	for _, req := range receiver.Requests() {
		arrived[req.ID()]++
	}
	for id, times := range arrived {
		require.LessOrEqual(t, times, 1+carried[id], "%s arrived again and was not in flight at a kill", id)
	}
}

// River's leader, which is what moves scheduled jobs, is killed. Its lease has
// not ended when a retry comes due.
func TestRiver_ARetryGoesOnWithoutItsLeader(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500})
	b.subscribe(receiver, func(spec *subscription.Spec) {
		operatorOnly(spec)
		spec.Schedule = "twice"
	})
	engines := map[string]*child{}
	for _, id := range []string{"one", "two"} {
		engines[id] = startChild(t, childTask{
			Role:     "engine",
			Database: b.pool.Config().ConnString(),
			EngineID: id,
		})
		engines[id].awaitStart(t)
	}
	const leader = `SELECT coalesce((SELECT e.id FROM riverhook.river_leader l JOIN riverhook.engine e ON e.process = l.leader_id), '')`
	b.eventually(func() bool { return b.text(leader) != "" })
	id := b.enqueue(nil)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'scheduled'`) == 1 })

	killed := b.text(leader)
	engines[killed].kill(t)
	b.pass(time.Hour + 16*time.Second) // after 15 s maintenance does what is the leader's

	b.wait(receiver, 2)
	require.Equal(t, killed, b.text(leader), "it has no successor yet")
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"failed", "delivered"}, b.history(id))
}
