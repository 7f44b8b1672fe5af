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
	"os"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/example/internal/scratch"
)

func main() {
	flags := flag.NewFlagSet("orgdirectory", flag.ContinueOnError)
	payloads := flags.String("payloads", "", `also send each line {"event":"...","payload":{...}} of this file`)
	result := newReport()
	os.Exit(program.Main(flags, result, func(ctx context.Context, show *program.Console) error {
		return run(ctx, *payloads, &console{show}, result)
	}))
}

func run(ctx context.Context, payloads string, show *console, result *report) (err error) {
	// Before anything starts: a file that cannot be read is the user's news at once.
	var samples []sample
	if payloads != "" {
		if samples, err = readSamples(payloads); err != nil {
			return err
		}
	}
	db, err := scratch.Open(ctx, "orgdirectory", show.Notef)
	if err != nil {
		return err
	}
	result.Postgres = db.Source()
	defer func() { err = errors.Join(err, db.Close(ctx)) }()

	w, err := newWorld(ctx, db.Pool)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()

	if err := playStory(ctx, w, show, result); err != nil {
		return err
	}
	if payloads == "" {
		return nil
	}
	return playSamples(ctx, w, samples, show, result)
}
