package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// enqueue measures transactions a second, with no engine running:
//
//   - row: one business row;
//   - river: the same plus River's InsertTx of a job with an id, whose client
//     notifies at most every 10 ms, as ours does;
//   - ours: the same plus Enqueue of an intent with its payload of 1 KB.
//
// each from 1, 8 and 32 goroutines and from 8 processes with a connection each;
// then a hundred at a time by InsertManyTx and EnqueueMany, in intents a second;
// and how often a call goes to the server and back.
func enqueue(ctx context.Context, b *bench) (*result, error) {
	ctx, cancel := context.WithTimeout(ctx, of(b.size, time.Minute, 10*time.Minute, time.Hour))
	defer cancel()
	w, err := b.newWorld(ctx, "enqueue")
	if err != nil {
		return nil, err
	}
	defer w.pool.Close()
	if err := migrateRiver(ctx, w.pool); err != nil { // the application's own, beside ours
		return nil, err
	}
	if _, err := w.pool.Exec(ctx, businessTable); err != nil {
		return nil, err
	}
	r := newResult()
	if err := measureTrips(ctx, w.url, r); err != nil {
		return nil, err
	}
	lap := of(b.size, 10*time.Millisecond, 500*time.Millisecond, 4*time.Second)
	rates := map[string][]float64{}
	for round := range of(b.size, 1, 3, 5) {
		for _, c := range enqueueCases(b.size) {
			for _, kind := range []string{writeRow, writeRiver, writeOurs} {
				if c.batch > 1 && kind == writeRow {
					continue
				}
				name := kind + "_" + c.name
				perSecond, err := c.measure(ctx, w.url, kind, lap)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				rates[name] = append(rates[name], perSecond)
				b.sayf("  round %d: %-19s %6.0f/s", round+1, name, perSecond)
			}
		}
	}
	for name, all := range rates {
		r.figure(name+"_per_s", median(all))
	}
	for _, c := range enqueueCases(b.size) {
		ours := rates[writeOurs+"_"+c.name]
		theirs := rates[writeRiver+"_"+c.name]
		row := rates[writeRow+"_"+c.name]
		r.figure("ours_of_river_"+c.name, medianRatio(ours, theirs))
		if len(row) > 0 {
			r.figure("ours_of_row_"+c.name, medianRatio(ours, row))
		}
	}
	r.ratio("enqueue_of_river_8", medianRatio(rates[writeOurs+"_8"], rates[writeRiver+"_8"]))
	return r, nil
}

const businessTable = `CREATE TABLE business (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now())`

// enqueueCase is a number of writers at once.
type enqueueCase struct {
	name       string
	batch      int // intents a transaction
	goroutines int
	processes  int // 0: in this process
}

func enqueueCases(s size) []enqueueCase {
	return []enqueueCase{
		{
			name:       "1",
			batch:      1,
			goroutines: 1,
		},
		{
			name:       "8",
			batch:      1,
			goroutines: 8,
		},
		{
			name:       "32",
			batch:      1,
			goroutines: 32,
		},
		{
			name:       "8_processes",
			batch:      1,
			goroutines: 1,
			processes:  of(s, 2, 8, 8),
		},
		{
			name:       "many_1",
			batch:      enqueueBatch,
			goroutines: 1,
		},
		{
			name:       "many_8",
			batch:      enqueueBatch,
			goroutines: 8,
		},
	}
}

// measure is how many rows, jobs or intents a second were committed in a lap.
func (c *enqueueCase) measure(ctx context.Context, databaseURL, kind string, lap time.Duration) (float64, error) {
	if c.processes > 0 {
		return measureProcesses(ctx, databaseURL, kind, c.processes, lap)
	}
	pool, err := openPool(ctx, databaseURL, c.goroutines)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	write, err := newWriter(pool, kind, c.batch)
	if err != nil {
		return 0, err
	}
	return writeFor(ctx, pool, write, c.goroutines, lap)
}

// writeFor returns how much a second was written by some goroutines in a lap,
// after they have warmed up their connections.
func writeFor(ctx context.Context, pool *pgxpool.Pool, write writer, goroutines int, lap time.Duration) (float64, error) {
	var (
		begin  = make(chan struct{})
		counts = make(chan int, goroutines)
		errs   = make(chan error, goroutines)
		warm   = make(chan struct{}, goroutines)
	)
	for range goroutines {
		go func() {
			n := 0
			err := repeat(ctx, pool, write, 5)
			warm <- struct{}{}
			<-begin
			for until := time.Now().Add(lap); err == nil && time.Now().Before(until); n += write.each {
				err = write.once(ctx, pool)
			}
			counts <- n
			errs <- err
		}()
	}
	for range goroutines {
		<-warm
	}
	began := time.Now()
	close(begin)
	all := 0
	for range goroutines {
		all += <-counts
		if err := <-errs; err != nil {
			return 0, err
		}
	}
	return float64(all) / time.Since(began).Seconds(), nil
}

func repeat(ctx context.Context, pool *pgxpool.Pool, write writer, times int) error {
	for range times {
		if err := write.once(ctx, pool); err != nil {
			return err
		}
	}
	return nil
}

// writer is one transaction of a kind.
type writer struct {
	each int // rows, jobs or intents
	call func(ctx context.Context, tx pgx.Tx) error
}

func (w writer) once(ctx context.Context, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO business (name, email) VALUES ($1, $2)", "Ada Lovelace", "ada@example.com"); err != nil {
			return err
		}
		if w.call == nil {
			return nil
		}
		return w.call(ctx, tx)
	})
}
