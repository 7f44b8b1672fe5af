package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/riverhook/riverhook/outbox"
)

// crash measures what SIGKILL does. Two engines, in processes of their own, share
// a steady load to endpoints that answer after 100 ms; at random moments one of
// them is killed, at least once the leader of River, and another is started in
// its place. All is counted at the receiver:
//
//   - lost: events that were committed and never arrived;
//   - duplicated: requests for events that had arrived before;
//   - in_flight_at_kills: events that had arrived, carried by a job of the engine
//     that was killed, and were not recorded when it was dead;
//   - resume_seconds_max: the longest time from a kill until the last event that
//     the killed engine had under way (in_flight, and those not sent yet) arrived
//     again or for the first time.
func crash(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, 2*time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	c := &crashRun{
		bench: b, events: of(b.size, 100, 5000, 20_000), kills: of(b.size, 1, 3, 5),
		// So that a load of 500/s, which two engines carry easily, goes on during all kills.
		rate: of(b.size, 400.0, 500, 500), committed: map[string]time.Time{},
	}
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	defer c.pool.Close()
	if err := c.run(ctx); err != nil {
		return nil, errors.Join(err, c.stopEngines())
	}
	return c.result(), nil
}

type crashRun struct {
	bench  *bench
	client *outbox.Client
	events int
	kills  int
	rate   float64
	*world

	committed map[string]time.Time
	engines   []*crashEngine // two at a time
	started   int            // engines so far
	killed    []kill
	arrivals  []arrival
}

type crashEngine struct {
	id      string
	process *child
}

// kill is what was found when an engine was dead.
type kill struct {
	at       time.Time
	inFlight int      // arrived and not recorded
	leader   bool     // it was River's
	underWay []string // the events that its jobs carried
}

const (
	crashBook  = "crash"
	crashDelay = 100 * time.Millisecond
	crashTypes = 20 // with a subscription each
)

func (c *crashRun) prepare(ctx context.Context) (err error) {
	if c.world, err = c.bench.newWorld(ctx, "crash"); err != nil {
		return err
	}
	if c.client, err = outbox.New(nil); err != nil {
		return err
	}
	for i := range crashTypes {
		if err := subscribe(ctx, c.subs, crashType(i), c.bench.receiver.slowURL(crashBook, crashDelay), 1); err != nil {
			return err
		}
	}
	for range 2 {
		if err := c.startEngine(ctx); err != nil {
			return err
		}
	}
	return nil
}

func crashType(i int) string { return fmt.Sprintf("bench.crash.t%d", i%crashTypes) }

func (c *crashRun) startEngine(ctx context.Context) error {
	c.started++
	id := fmt.Sprintf("bench_%d", c.started)
	process, err := startEngine(ctx, c.url, id)
	if err != nil {
		return err
	}
	c.engines = append(c.engines, &crashEngine{id, process})
	return nil
}

func (c *crashRun) stopEngines() error {
	var errs []error
	for _, e := range c.engines {
		errs = append(errs, e.process.close())
	}
	c.engines = nil
	return errors.Join(errs...)
}

// run kills while events are published, and waits until all that was committed
// is recorded.
func (c *crashRun) run(ctx context.Context) error {
	published := make(chan error, 1)
	go func() {
		var err error
		c.committed, err = publishAll(ctx, c.rate, c.events, func(ctx context.Context) (string, time.Time, error) {
			return publishIntents(c.client, c.pool, crashType(rand.IntN(crashTypes)))(ctx) //nolint:gosec // no secret
		})
		published <- err
	}()
	duration := time.Duration(float64(c.events) / c.rate * float64(time.Second))
	began := time.Now()
	for i, share := range killMoments(c.kills) {
		if err := pause(ctx, time.Until(began.Add(time.Duration(share*float64(duration))))); err != nil {
			return err
		}
		if err := c.kill(ctx, i == 0); err != nil {
			return err
		}
	}
	if err := <-published; err != nil {
		return err
	}
	if err := settled(ctx, c.pool); err != nil {
		return err
	}
	var err error
	if c.arrivals, err = c.bench.receiver.arrivals(ctx, crashBook, 0); err != nil {
		return err
	}
	return c.stopEngines()
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
	err := c.pool.QueryRow(ctx, "SELECT coalesce((SELECT leader_id FROM riverhook.river_leader LIMIT 1), '')").Scan(&leaderID)
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
		if _, err := c.pool.Exec(ctx, "UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 hour' WHERE id = $1", victim.id); err != nil {
			return err
		}
	}
	c.bench.say("  killed %s (leader: %t): %d in flight, %d under way", victim.id, k.leader, k.inFlight, len(k.underWay))
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
		WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] = $1
		UNION
		SELECT i.wire_id FROM riverhook.river_job j
		JOIN riverhook.intent_state s ON s.job_id = j.id AND s.state = 'pending'
		JOIN riverhook.intent i ON i.id = s.intent_id
		WHERE j.state = 'running' AND j.attempted_by[array_length(j.attempted_by, 1)] = $1`, id)
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

func (c *crashRun) result() *result {
	r := newResult()
	times := map[string][]time.Time{}
	for _, a := range c.arrivals {
		times[a.ID] = append(times[a.ID], time.Unix(0, a.At))
	}
	lost, duplicated, inFlight, underWay, leaders := 0, 0, 0, 0, 0
	for id := range c.committed {
		if len(times[id]) == 0 {
			lost++
		}
	}
	for _, at := range times {
		duplicated += len(at) - 1
	}
	var resumed []float64
	for _, k := range c.killed {
		inFlight += k.inFlight
		underWay += len(k.underWay)
		if k.leader {
			leaders++
		}
		last := 0.0
		for _, id := range k.underWay {
			if i := slices.IndexFunc(times[id], k.at.Before); i >= 0 {
				last = max(last, times[id][i].Sub(k.at).Seconds())
			}
		}
		resumed = append(resumed, last)
	}
	r.figure("events", float64(len(c.committed)))
	r.figure("kills", float64(len(c.killed)))
	r.figure("kills_of_the_leader", float64(leaders))
	r.figure("under_way_at_kills", float64(underWay))
	r.figure("resume_seconds_median", median(resumed))
	r.ratio("lost", float64(lost))
	r.ratio("duplicated", float64(duplicated))
	r.ratio("in_flight_at_kills", float64(inFlight))
	r.ratio("resume_seconds_max", percentile(resumed, 100))
	return r
}
