package main

import (
	"context"
	"fmt"
	"time"
)

// countRounds measures what rounds of maintenance cost while so many rows are due, of
// which each has a River job that waits in a queue that nobody works: half of them
// deliveries, the others intents and decisions.
func (s *backlogRun) countRounds(ctx context.Context) error {
	made := 0
	costs := map[string]roundCost{}
	for _, at := range []struct {
		name string
		rows int
	}{{"few", s.dueFew}, {"many", s.dueMany}} {
		if _, err := s.pool.Exec(ctx, dueRows, at.rows-made); err != nil {
			return err
		}
		made = at.rows
		for _, table := range []string{"decision", "delivery", "intent_state", "river_job"} {
			if _, err := s.pool.Exec(ctx, "VACUUM ANALYZE riverhook."+table); err != nil {
				return err
			}
		}
		if err := s.bench.settle(ctx); err != nil {
			return err
		}
		cost, err := s.roundCost(ctx)
		if err != nil {
			return err
		}
		beside, err := s.measure(ctx, 20, s.events)
		if err != nil {
			return err
		}
		costs[at.name] = cost
		s.bench.sayf("  %d rows due: a round reads %.0f rows and %.0f buffers and takes %.1f ms of Postgres; p50 %.2f ms",
			at.rows, cost.rows, cost.buffers, cost.ms, median(beside))
		s.result.figure("due_"+at.name, float64(at.rows))
		s.result.figure("round_rows_"+at.name, cost.rows)
		s.result.figure("round_buffers_"+at.name, cost.buffers)
		s.result.figure("round_postgres_ms_"+at.name, cost.ms)
		s.result.percentiles("due_"+at.name, beside)
	}
	s.result.ratio("round_rows_of_few", costs["many"].rows/max(costs["few"].rows, 1))
	return nil
}

// dueRows makes rows that have been due for a minute.
//
//nolint:dupword // each id is another one
const dueRows = `
	WITH jobs AS (
		INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at)
		SELECT '{}', 'bench_due', 1000, 'bench_due', 'available', now() FROM generate_series(1, $1::integer)
		RETURNING id
	), numbered AS MATERIALIZED (
		SELECT id, row_number() OVER () % 4 AS n FROM jobs
	), intents AS (
		INSERT INTO riverhook.intent_state (intent_id, job_id, due_at)
		SELECT riverhook.new_id(), id, now() - interval '1 min' FROM numbered WHERE n = 0
	), decisions AS (
		INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, job_id, due_at)
		SELECT riverhook.new_id(), riverhook.new_id(), 'waiting', '/', id, now() - interval '1 min' FROM numbered WHERE n = 1
	)
	INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id, due_at)
	SELECT riverhook.new_id(), riverhook.new_id(), riverhook.new_id(), 'standard', '/', 1, id, now() - interval '1 min'
	FROM numbered WHERE n > 1`

// roundCost is what a second of an engine costs that has nothing else to do.
type roundCost struct {
	rows    float64 // that were read of the tables that rounds read
	buffers float64
	ms      float64 // of the processor, by the server
}

// roundCost measures an idle stretch. A backend tells what it has read within a second of
// the end of a transaction, or when it is idle for ten: the stretch is longer.
func (s *backlogRun) roundCost(ctx context.Context) (roundCost, error) {
	before, err := s.readSoFar(ctx)
	if err != nil {
		return roundCost{}, err
	}
	began, used := time.Now(), postgresTime(s.bench.postgres)
	if err := pause(ctx, s.idle); err != nil {
		return roundCost{}, err
	}
	seconds, ms := time.Since(began).Seconds(), milliseconds(postgresTime(s.bench.postgres)-used)
	after, err := s.readSoFar(ctx)
	if err != nil {
		return roundCost{}, fmt.Errorf("after %.0f s: %w", seconds, err)
	}
	return roundCost{
		rows:    (after.rows - before.rows) / seconds,
		buffers: (after.buffers - before.buffers) / seconds,
		ms:      ms / seconds,
	}, nil
}

func (s *backlogRun) readSoFar(ctx context.Context) (c roundCost, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT sum(coalesce(t.seq_tup_read, 0) + coalesce(t.idx_tup_fetch, 0)),
			sum(coalesce(b.heap_blks_hit, 0) + coalesce(b.heap_blks_read, 0) + coalesce(b.idx_blks_hit, 0) + coalesce(b.idx_blks_read, 0))
		FROM pg_stat_user_tables t JOIN pg_statio_user_tables b USING (relid)
		WHERE t.schemaname = 'riverhook'`).Scan(&c.rows, &c.buffers)
	return c, err
}
