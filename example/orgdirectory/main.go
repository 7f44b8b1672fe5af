// Command orgdirectory shows Riverhook in an application: a directory of the
// people in the offices of an organization, whose managers hear by webhook of
// what happens in their part of the tree.
//
//	go run ./example/orgdirectory
//
// It finds or starts a Postgres, makes a database of its own there, plays a few
// acts against receivers on this machine, prints who was told what and why, and
// checks all of it. It exits with 0 if everything was as it must be.
//
//	-json            print one JSON object instead of tables
//	-payloads FILE   then send each line {"event":"...","payload":{...}} of FILE too
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	json     bool
	payloads string
}

// start is main with everything that a test may want to replace. What ctx ends
// is cleaned up as after any other end.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	show := &console{json: opts.json, out: stdout, err: stderr}
	result := newReport()
	if err := run(ctx, opts, show, result); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		result.problemf("%v", err)
	}
	if err := show.end(result); err != nil {
		return exitFailed // and nowhere to say so
	}
	if !result.OK {
		return exitFailed
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("orgdirectory", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&opts.json, "json", false, "print one JSON object on standard output, all else on standard error")
	flags.StringVar(&opts.payloads, "payloads", "", `also send each line {"event":"...","payload":{...}} of this file`)
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("orgdirectory: unexpected argument %q", flags.Arg(0))
		_, _ = fmt.Fprintln(stderr, err)
		return opts, err
	}
	return opts, nil
}

func run(ctx context.Context, opts options, show *console, result *report) (err error) {
	// Before anything starts: a file that cannot be read is the user's news at once.
	var samples []sample
	if opts.payloads != "" {
		if samples, err = readSamples(opts.payloads); err != nil {
			return err
		}
	}
	db, err := openDatabase(ctx, show)
	if err != nil {
		return err
	}
	result.Postgres = db.server.Source()
	defer func() { err = errors.Join(err, db.close(ctx)) }()

	w, err := newWorld(ctx, db.pool)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()

	if err := playStory(ctx, w, show, result); err != nil {
		return err
	}
	if opts.payloads == "" {
		return nil
	}
	return playSamples(ctx, w, samples, show, result)
}
