package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// backlog measures what piles up. A worker, in a process of its own, has its
// quiet latency measured at 20 events a second; then it gets 1,000,000 deliveries
// of history, which are vacuumed as they would be over time, and 100,000 events
// for an endpoint that refuses connections. When all of them are expanded:
//
//   - p50_of_quiet: the latency of the fast endpoint, of its quiet one;
//   - river_rewrites_per_held_hour: rows of River's table that are written in an
//     idle stretch, for each pending delivery and hour;
//   - worker_rss_mb: the most memory that the worker ever had, the expansion of
//     one intent to 10,000 subscriptions included;
//   - round_rows_of_few: rows that a round of maintenance reads with 1,000,000 due in
//     order, of those with 10,000, which take two or three rounds, the last of them short;
//   - resolve_100k_of_100: see lookups.
//
// A quick run has a tenth of all that, but for lookups and the 10,000.
func backlog(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, 2*time.Minute, 15*time.Minute, 2*time.Hour))
	defer cancel()
	o, err := newOneEngine(ctx, b, "backlog")
	if err != nil {
		return nil, err
	}
	defer o.pool.Close()
	s := &backlogRun{
		oneEngine: o,
		result:    newResult(),
		dueFew:    of(b.size, 100, 10_000, 10_000),
		dueMany:   of(b.size, 200, 100_000, 1_000_000),
		events:    of(b.size, 5, 200, 1000),
		fanout:    of(b.size, 50, 1000, 10_000),
		history:   of(b.size, 500, 100_000, 1_000_000),
		held:      of(b.size, 200, 20_000, 100_000),
		idle:      of(b.size, time.Millisecond, 15*time.Second, 3*time.Minute),
	}
	if s.worker, err = startEngine(ctx, o.url, "bench_worker"); err != nil {
		return nil, err
	}
	if err := errors.Join(s.run(ctx), s.worker.close()); err != nil {
		return nil, err
	}
	return s.result, lookups(ctx, b, s.result)
}

type backlogRun struct {
	*oneEngine

	dueFew  int // rows, of deliveries, intents and decisions
	dueMany int
	events  int // whose latency is measured, each time
	fanout  int // subscriptions to one event
	held    int // deliveries to the dead endpoint
	history int // deliveries
	idle    time.Duration
	result  *result
	worker  *child
}

const (
	deadType = "bench.dead"
	wideType = "bench.wide"
	wideBook = "wide"
)

func (s *backlogRun) run(ctx context.Context) error {
	quiet, err := s.measure(ctx, 20, s.events)
	if err != nil {
		return err
	}
	s.rememberMemory("quiet")
	for _, step := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"history", s.makeHistory}, {"held deliveries", s.makeHeld},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		s.bench.sayf("  %s: %s", step.name, time.Since(began).Round(time.Millisecond))
	}
	s.rememberMemory("held")
	beside, err := s.measure(ctx, 20, s.events)
	if err != nil {
		return err
	}
	s.bench.sayf("  quiet p50 %.2f ms; beside the backlog %.2f ms", median(quiet), median(beside))
	if err := s.countRewrites(ctx); err != nil {
		return err
	}
	if err := s.expandWide(ctx); err != nil {
		return err
	}
	s.rememberMemory("wide")
	_, peak := memory(s.worker.cmd.Process.Pid)
	s.result.percentiles("quiet", quiet)
	s.result.percentiles("beside", beside)
	s.result.ratio("p50_of_quiet", median(beside)/median(quiet))
	s.result.ratio("worker_rss_mb", megabytes(peak))
	if err := s.tableSizes(ctx); err != nil {
		return err
	}
	return s.countRounds(ctx)
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (s *backlogRun) rememberMemory(name string) {
	now, _ := memory(s.worker.cmd.Process.Pid)
	s.result.figure("worker_rss_mb_"+name, megabytes(now))
}

// manySubscriptions makes subscriptions of the operator to one event type, with
// the same secret each, in clear.
const manySubscriptions = `
	WITH made AS (
		INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		SELECT riverhook.new_id(), '/', $1, ARRAY[$2], true, 'standard' FROM generate_series(1, $3)
		RETURNING id
	)
	INSERT INTO riverhook.secret (id, subscription_id, value, sealed)
	SELECT riverhook.new_id(), made.id, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', false FROM made`

// makeHistory writes deliveries that have ended, as many of each subscription as
// are kept of one, with an attempt each, in one intent for every ten.
func (s *backlogRun) makeHistory(ctx context.Context) error {
	const kept, perIntent = 1000, 10
	subscriptions := max(s.history/kept, perIntent)
	if _, err := s.pool.Exec(ctx, manySubscriptions, s.bench.receiver.url(pathCount, "history"), "bench.history", subscriptions); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, historyRows, s.history/perIntent, perIntent, payload); err != nil {
		return err
	}
	for _, table := range []string{"intent", "intent_state", "delivery", "attempt", "message"} {
		if _, err := s.pool.Exec(ctx, "VACUUM ANALYZE riverhook."+table); err != nil {
			return err
		}
	}
	_, err := s.pool.Exec(ctx, "CHECKPOINT")
	return err
}

const historyRows = `
	WITH intents AS (
		INSERT INTO riverhook.intent (id, wire_id, type, site, share, data, digest, occurred_at)
		SELECT x.id, x.id::text, 'bench.history', '/', '/', convert_to($3::text, 'UTF8'), sha256(x.id::text::bytea), now()
		FROM (SELECT riverhook.new_id() AS id FROM generate_series(1, $1::integer)) x
		RETURNING id
	), states AS (
		INSERT INTO riverhook.intent_state (intent_id, state, job_id, ended_at)
		SELECT id, 'expanded', 0, now() FROM intents
	), messages AS (
		INSERT INTO riverhook.message (intent_id, dialect, content_type, body)
		SELECT id, 'standard', 'application/json', convert_to($3::text, 'UTF8') FROM intents
	), subs AS (
		SELECT id, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS all_of_them
		FROM riverhook.subscription WHERE events = '{bench.history}'
	), pairs AS MATERIALIZED (
		SELECT riverhook.new_id() AS id, i.id AS intent_id, s.id AS subscription_id
		FROM (SELECT id, row_number() OVER () AS n FROM intents) i
		CROSS JOIN generate_series(1, $2::integer) AS k
		JOIN subs s ON s.n = (i.n * $2 + k) % s.all_of_them
	), attempts AS (
		INSERT INTO riverhook.attempt (
			delivery_id, seq, round, number, outcome, status, url, request_headers, response_headers, engine, started_at)
		SELECT
			id, 1, 1, 1, 'delivered', 200, 'http://127.0.0.1/history', '{"Content-Type":"application/json"}', '{"Date":"now"}',
			'bench', now()
		FROM pairs
	)
	INSERT INTO riverhook.delivery (
		id, intent_id, subscription_id, dialect, matched_site, epoch, state, attempt_seq, attempts, last_status, last_outcome, ended_at)
	SELECT id, intent_id, subscription_id, 'standard', '/', 1, 'delivered', 1, 1, 200, 'delivered', now() FROM pairs`

// makeHeld enqueues events for an endpoint that refuses connections and waits
// until they are expanded.
func (s *backlogRun) makeHeld(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	url := "http://" + listener.Addr().String() + "/dead"
	if err := listener.Close(); err != nil { // nobody listens there now
		return err
	}
	if err := subscribe(ctx, s.subs, deadType, url, 1); err != nil {
		return err
	}
	if err := s.enqueueAll(ctx, s.held, deadType); err != nil {
		return err
	}
	for {
		var pending bool
		err := s.pool.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM riverhook.intent_state WHERE state = 'pending' AND due_at IS NOT NULL)`).Scan(&pending)
		if err != nil || !pending {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
