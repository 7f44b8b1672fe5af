package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// The settings of a child that writes.
const (
	databaseVariable = "RIVERHOOK_BENCH_DATABASE"
	kindVariable     = "RIVERHOOK_BENCH_KIND"
	lapVariable      = "RIVERHOOK_BENCH_LAP"
)

// serveWriter is the child that writes, one transaction after the other, when it
// is told to begin. It answers with how many a second it wrote.
func serveWriter(ctx context.Context, in *bufio.Reader, ready func(answer string)) error {
	lap, err := time.ParseDuration(os.Getenv(lapVariable))
	if err != nil {
		return err
	}
	pool, write, err := openWriter(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := repeat(ctx, pool, write, 5); err != nil {
		return err
	}
	ready("ready")
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	perSecond, err := writeFor(ctx, pool, write, 1, lap)
	if err != nil {
		return err
	}
	ready(strconv.FormatFloat(perSecond, 'f', -1, 64))
	return untilEnd(in)
}

// openWriter is the writer that the settings of a child name, on so many connections.
func openWriter(ctx context.Context, conns int) (*pgxpool.Pool, writer, error) {
	pool, err := openPool(ctx, os.Getenv(databaseVariable), conns)
	if err != nil {
		return nil, writer{}, err
	}
	write, err := newWriter(pool, os.Getenv(kindVariable), 1)
	if err != nil {
		pool.Close()
	}
	return pool, write, err
}

// measureProcesses is the sum of what some processes write at once.
func measureProcesses(ctx context.Context, databaseURL, kind string, n int, lap time.Duration) (all float64, err error) {
	var children []*child
	defer func() {
		for _, c := range children {
			err = errors.Join(err, c.close())
		}
	}()
	for range n {
		c, err := startChild(ctx, "writer", databaseVariable+"="+databaseURL, kindVariable+"="+kind, lapVariable+"="+lap.String())
		if err != nil {
			return 0, err
		}
		children = append(children, c)
	}
	for _, c := range children {
		if err := c.tell("begin"); err != nil {
			return 0, err
		}
	}
	for _, c := range children {
		answer, err := c.line()
		if err != nil {
			return 0, err
		}
		var perSecond float64
		if err := json.Unmarshal([]byte(answer), &perSecond); err != nil {
			return 0, err
		}
		all += perSecond
	}
	return all, nil
}
