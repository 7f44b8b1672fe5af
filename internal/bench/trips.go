package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
)

// tripCounter counts how often a client goes to the server and back: writes
// that follow something that was read.
type tripCounter struct {
	answered atomic.Bool
	trips    atomic.Int64
}

type countedConn struct {
	net.Conn

	counter *tripCounter
}

// Write implements net.Conn.
func (c countedConn) Write(p []byte) (int, error) {
	if c.counter.answered.Swap(false) {
		c.counter.trips.Add(1)
	}
	return c.Conn.Write(p)
}

// Read implements net.Conn.
func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.counter.answered.Store(true)
	}
	return n, err
}

// measureTrips counts the round trips of a transaction with a business row, with
// one more call and with a hundred in one call.
func measureTrips(ctx context.Context, databaseURL string, r *result) error {
	trips := map[string]float64{}
	for _, kind := range []string{writeRow, writeRiver, writeOurs} {
		for _, batch := range []int{1, enqueueBatch} {
			n, err := tripsOf(ctx, databaseURL, kind, batch)
			if err != nil {
				return err
			}
			trips[fmt.Sprintf("trips_%s_%d", kind, batch)] = n
		}
	}
	for name, n := range trips {
		r.figure(name, n)
	}
	r.ratio("extra_round_trips", max(trips["trips_ours_1"]-trips["trips_river_1"], trips["trips_ours_100"]-trips["trips_river_100"]))
	return nil
}

// tripsOf is the median number of round trips of a transaction, BEGIN and COMMIT
// included, on a connection that is warm. An answer that comes in two parts while
// a long question is still being sent looks like two trips, hence the median.
func tripsOf(ctx context.Context, databaseURL, kind string, batch int) (float64, error) {
	cfg, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return 0, err
	}
	counter := &tripCounter{}
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return countedConn{conn, counter}, err
	}
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	write, err := newWriter(pool, kind, batch)
	if err != nil {
		return 0, err
	}
	const times = 10
	if err := repeat(ctx, pool, write, times); err != nil {
		return 0, err
	}
	var each []float64
	for range times {
		before := counter.trips.Load()
		if err := write.once(ctx, pool); err != nil {
			return 0, err
		}
		each = append(each, float64(counter.trips.Load()-before))
	}
	return median(each), nil
}
