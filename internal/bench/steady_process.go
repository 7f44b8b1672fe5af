package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// endpointVariable is the URL that a child posts to.
const endpointVariable = "RIVERHOOK_BENCH_ENDPOINT"

// steadyConns are the connections of a producer, each with a goroutine.
const steadyConns = 16

// serveProducer is the child that commits one transaction after the other on each of its
// connections. It is ready when it has warmed these up, with how many it committed for that;
// then it does so for as long as each line says, and answers how many it committed.
func serveProducer(ctx context.Context, in *bufio.Reader, ready func(answer string)) error {
	pool, write, err := openWriter(ctx, steadyConns)
	if err != nil {
		return err
	}
	defer pool.Close()
	n, err := produceFor(ctx, pool, write, 100*time.Millisecond)
	for err == nil {
		ready(strconv.Itoa(n))
		line, end := in.ReadString('\n')
		if end != nil {
			return nil
		}
		lap, wrong := time.ParseDuration(strings.TrimSpace(line))
		if wrong != nil {
			return wrong
		}
		n, err = produceFor(ctx, pool, write, lap)
	}
	return err
}

// produceFor commits for a while on all connections, and returns how many transactions that
// were.
func produceFor(ctx context.Context, pool *pgxpool.Pool, write writer, lap time.Duration) (n int, err error) {
	var (
		counts = make(chan int, steadyConns)
		errs   = make(chan error, steadyConns)
		until  = time.Now().Add(lap)
	)
	for range steadyConns {
		go func() {
			n := 0
			var err error
			for ; err == nil && time.Now().Before(until); n += write.each {
				err = write.once(ctx, pool)
			}
			counts <- n
			errs <- err
		}()
	}
	for range steadyConns {
		n += <-counts
		err = errors.Join(err, <-errs)
	}
	return n, err
}

// servePoster is the child that works bare posts with the settings of River that suit these best.
func servePoster(ctx context.Context, in *bufio.Reader, ready func(answer string)) error {
	pool, err := openPool(ctx, os.Getenv(databaseVariable), poolSize)
	if err != nil {
		return err
	}
	defer pool.Close()
	l := openBaseline(pool, os.Getenv(endpointVariable), quickRiver())
	if err := l.start(ctx); err != nil {
		return err
	}
	ready("ready")
	err = untilEnd(in)
	return errors.Join(err, l.stop(ctx))
}

// quickRiver is the best of what was tried with bare posts.
func quickRiver() river.Config {
	return river.Config{
		FetchCooldown:     10 * time.Millisecond,
		FetchPollInterval: 100 * time.Millisecond,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}},
	}
}

// used is the processor time of the child; 0 of none.
func (c *child) used() time.Duration {
	if c == nil {
		return 0
	}
	p, _ := readProcess(c.cmd.Process.Pid)
	return p.used
}
