package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// cost is what a window of measurement took.
type cost struct {
	elapsed  time.Duration
	engine   time.Duration // processor time of this process
	postgres time.Duration // and of the server
	receiver time.Duration // and of the receiver
	wal      float64       // bytes
}

// meter measures a window. Nothing else may run on the server meanwhile.
type meter struct {
	bench *bench
	pool  *pgxpool.Pool
	start cost
	began time.Time
}

func (b *bench) startMeter(ctx context.Context, pool *pgxpool.Pool) (*meter, error) {
	m := &meter{bench: b, pool: pool}
	var err error
	m.start, err = m.read(ctx)
	m.began = time.Now()
	return m, err
}

// end is what the window took that ends now.
func (m *meter) end(ctx context.Context) (cost, error) {
	elapsed := time.Since(m.began)
	now, err := m.read(ctx)
	return cost{
		elapsed:  elapsed,
		engine:   now.engine - m.start.engine,
		postgres: now.postgres - m.start.postgres,
		receiver: now.receiver - m.start.receiver,
		wal:      now.wal - m.start.wal,
	}, err
}

func (m *meter) read(ctx context.Context) (c cost, err error) {
	if err := m.pool.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn() - '0/0'").Scan(&c.wal); err != nil {
		return c, err
	}
	if c.receiver, err = m.bench.receiver.time(ctx); err != nil {
		return c, err
	}
	c.postgres = postgresTime(m.bench.postgres)
	c.engine = ownTime()
	return c, nil
}
