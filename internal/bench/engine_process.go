package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"time"
)

// engineVariable is the ID of the engine that a child runs.
const engineVariable = "RIVERHOOK_BENCH_ENGINE"

// serveEngine is the child that runs an engine.
func serveEngine(ctx context.Context, in *bufio.Reader, ready func(answer string)) error {
	pool, err := openPool(ctx, os.Getenv(databaseVariable), poolSize)
	if err != nil {
		return err
	}
	defer pool.Close()
	engine, err := newEngine(pool, os.Getenv(engineVariable))
	if err != nil {
		return err
	}
	if err := engine.Start(ctx); err != nil {
		return err
	}
	ready("ready")
	err = untilEnd(in)
	stopCtx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return errors.Join(err, engine.Stop(stopCtx))
}

// startEngine starts an engine in a process of its own.
func startEngine(ctx context.Context, databaseURL, id string) (*child, error) {
	return startChild(ctx, "engine", databaseVariable+"="+databaseURL, engineVariable+"="+id)
}
