package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// countRewrites counts the rows that are written to River's table in a stretch
// in which nothing new is enqueued. Rows that River's cleaner deletes are ended
// jobs, which are none of the held deliveries' and not counted.
func (s *backlogRun) countRewrites(ctx context.Context) error {
	if err := s.bench.settle(ctx); err != nil {
		return err
	}
	before, err := s.riverWrites(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, s.idle); err != nil {
		return err
	}
	after, err := s.riverWrites(ctx)
	if err != nil {
		return err
	}
	hours := time.Since(began).Hours()
	var held, pending float64
	err = s.pool.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE hold <> '') FROM riverhook.delivery WHERE state = 'pending'`).Scan(&pending, &held)
	if err != nil {
		return err
	}
	if pending < 0.9*float64(s.held) {
		return fmt.Errorf("only %.0f of %d deliveries to the dead endpoint are pending", pending, s.held)
	}
	s.result.figure("pending", pending)
	s.result.figure("held", held)
	s.result.figure("river_writes_idle", after-before)
	s.result.ratio("river_rewrites_per_held_hour", (after-before)/pending/hours)
	return nil
}

// riverWrites are the inserts and updates of River's table so far. A backend
// tells of its own within a second of the end of a transaction, or when it is
// idle for ten: the stretch is longer.
func (s *backlogRun) riverWrites(ctx context.Context) (n float64, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'riverhook' AND relname = 'river_job'`).Scan(&n)
	return n, err
}

// expandWide lets one event go to many subscriptions.
func (s *backlogRun) expandWide(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, manySubscriptions, s.bench.receiver.url(pathCount, wideBook), wideType, s.fanout); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, "ANALYZE riverhook.subscription, riverhook.secret"); err != nil {
		return err
	}
	began := time.Now()
	if err := s.enqueueAll(ctx, 1, wideType); err != nil {
		return err
	}
	if err := s.bench.receiver.waitFor(ctx, wideBook, s.fanout); err != nil {
		return err
	}
	s.result.figure("wide_fanout", float64(s.fanout))
	s.result.figure("wide_seconds", time.Since(began).Seconds())
	return nil
}

// tableSizes are figures of the tables with their indexes.
func (s *backlogRun) tableSizes(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, `
		SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables
		WHERE schemaname = 'riverhook' AND relname IN ('attempt', 'delivery', 'intent', 'intent_state', 'message', 'river_job')`)
	if err != nil {
		return err
	}
	var (
		name string
		size int64
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &size}, func() error {
		s.result.figure("table_mb_"+name, megabytes(size))
		return nil
	})
	return err
}
