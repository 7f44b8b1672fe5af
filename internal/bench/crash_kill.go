package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// kill is what was found when an engine was dead.
type kill struct {
	at       time.Time
	inFlight int      // arrived and not recorded
	leader   bool     // it was River's
	underWay []string // the events that its jobs carried
}

// killMoments are random shares of the time of publishing: in its first nine
// tenths, each in a stretch of its own so that an engine has started between.
func killMoments(n int) []float64 {
	moments := make([]float64, n)
	for i := range moments {
		moments[i] = (float64(i) + 0.2 + 0.8*rand.Float64()) * 0.9 / float64(n) //nolint:gosec // no secret
	}
	return moments
}

// kill kills one of the engines, the leader where it must be that one, notes what
// it had under way, and starts another.
func (c *crashRun) kill(ctx context.Context, leader bool) error {
	var leaderID string
	err := c.pool.QueryRow(ctx, `SELECT coalesce((SELECT e.id
		FROM riverhook.river_leader l JOIN riverhook.engine e ON e.process = l.leader_id LIMIT 1), '')`).Scan(&leaderID)
	if err != nil {
		return err
	}
	i := rand.IntN(len(c.engines)) //nolint:gosec // no secret
	if led := slices.IndexFunc(c.engines, func(e *crashEngine) bool { return e.id == leaderID }); leader && led >= 0 {
		i = led
	}
	victim := c.engines[i]
	c.engines = slices.Delete(c.engines, i, i+1)
	if err := victim.process.kill(); err != nil {
		return err
	}
	k := kill{at: time.Now(), leader: victim.id == leaderID}
	if err := c.examine(ctx, victim.id, &k); err != nil {
		return err
	}
	c.killed = append(c.killed, k)
	if c.bench.size == tiny { // as if its last heartbeat were long ago
		if _, err := c.pool.Exec(ctx, "UPDATE riverhook.engine SET heartbeat_at = '-infinity' WHERE id = $1", victim.id); err != nil {
			return err
		}
	}
	c.bench.sayf("  killed %s (leader: %t): %d in flight, %d under way", victim.id, k.leader, k.inFlight, len(k.underWay))
	return c.startEngine(ctx)
}

// examine asks the database what the jobs of a dead engine carry that is not
// recorded, and the receiver which of that it has got. Nobody else sends it
// meanwhile: an engine is believed to be alive for longer.
func (c *crashRun) examine(ctx context.Context, id string, k *kill) error {
	rows, err := c.pool.Query(ctx, `
		SELECT i.wire_id FROM riverhook.river_job j
		JOIN riverhook.delivery d ON d.job_id = j.id AND d.state = 'pending'
		JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] IN (
			SELECT e.process FROM riverhook.engine e WHERE e.id = $1)
		UNION
		SELECT i.wire_id FROM riverhook.river_job j
		JOIN riverhook.intent_state s ON s.job_id = j.id AND s.state = 'pending'
		JOIN riverhook.intent i ON i.id = s.intent_id
		WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] IN (
			SELECT e.process FROM riverhook.engine e WHERE e.id = $1)`, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	unrecorded := map[string]bool{}
	for rows.Next() {
		var wireID string
		if err := rows.Scan(&wireID); err != nil {
			return err
		}
		unrecorded[wireID] = true
		k.underWay = append(k.underWay, wireID)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	arrived, err := c.bench.receiver.arrivals(ctx, crashBook, 0)
	if err != nil {
		return err
	}
	for _, a := range arrived {
		if unrecorded[a.ID] {
			delete(unrecorded, a.ID)
			k.inFlight++
		}
	}
	return nil
}
