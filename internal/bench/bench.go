package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/pgserver"
)

// size is how much a run measures.
type size int

const (
	tiny  size = iota // whether it works at all: for tests
	quick             // all scenarios in a few minutes
	full              // what is published
)

func (s size) String() string { return of(s, "tiny", "quick", "full") }

// of picks the value for the size of a run.
func of[T any](s size, forTiny, forQuick, forFull T) T {
	return [...]T{
		tiny:  forTiny,
		quick: forQuick,
		full:  forFull,
	}[s]
}

// bench is what a scenario runs in: a server, a receiver and options.
type bench struct {
	only     *regexp.Regexp
	out      io.Writer // progress
	profile  string
	receiver *receiver
	size     size

	serverURL string
	source    string // the server in one line
	version   string // of Postgres
	postgres  int    // process id of the postmaster; 0 where it is not on this machine
	stop      func() error
	databases []string // made on a server that is not ours
}

func newBench(ctx context.Context, opts *options, progress io.Writer) (*bench, error) {
	server, err := pgserver.Start(ctx, &pgserver.Opts{MaxConnections: 300})
	if err != nil {
		return nil, err
	}
	b := &bench{
		only:      opts.only,
		out:       progress,
		profile:   opts.profile,
		size:      opts.size,
		serverURL: server.URL(),
		source:    server.Source(),
		stop:      server.Close,
	}
	if err := b.open(ctx); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return b, nil
}

// open looks at the server and starts the receiver.
func (b *bench) open(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.serverURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing follows from it
	var backend int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version'), pg_backend_pid()").Scan(&b.version, &backend); err != nil {
		return err
	}
	b.postgres = postmasterOf(backend)
	b.receiver, err = startReceiver(ctx)
	return err
}

func (b *bench) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(b.receiver.close(), b.dropDatabases(ctx), b.stop())
}

// sayf writes a line of progress.
func (b *bench) sayf(format string, args ...any) { printf(b.out, format+"\n", args...) }

// printf writes for people: nothing follows from what they cannot read.
func printf(to io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(to, format, args...) }

func (b *bench) environment(began time.Time) environment {
	return environment{
		At:       began.UTC().Format(time.RFC3339),
		CPUs:     runtime.NumCPU(),
		Go:       runtime.Version(),
		OS:       runtime.GOOS + "/" + runtime.GOARCH,
		Postgres: b.version,
		Seconds:  time.Since(began).Round(time.Second).Seconds(),
		Size:     b.size.String(),
	}
}

// settle waits for what comes after a stretch of work: River keeps the ends of
// jobs to itself for up to a quarter of a second.
func (b *bench) settle(ctx context.Context) error {
	return pause(ctx, of(b.size, time.Millisecond, 400*time.Millisecond, 400*time.Millisecond))
}

// warmUp is how many events go before those whose latency is measured, to open
// connections and prepare statements.
func (b *bench) warmUp() int { return of(b.size, 2, 20, 20) }

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
