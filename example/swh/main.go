// Command swh tells what swh-webhooks does, on Riverhook: an archive of software
// says by webhook which origins are new and which it has visited, to those who
// follow all of it or one origin alone.
//
//	go run ./example/swh
//
// Its event types have JSON Schemas, an origin is a channel, and its events are
// written in the transactions of the archive. It finds or starts a Postgres, makes a
// database of its own there, plays a few acts against receivers on this machine, and
// exits with 0 if everything was as it must be.
//
//	-json    print one JSON object instead of the story
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
	flags := flag.NewFlagSet("swh", flag.ContinueOnError)
	result := newReport()
	os.Exit(program.Main(flags, result, func(ctx context.Context, show *program.Console) error {
		return run(ctx, show, result)
	}))
}

func run(ctx context.Context, show *program.Console, result *report) (err error) {
	db, err := scratch.Open(ctx, "swh", show.Notef)
	if err != nil {
		return err
	}
	result.Postgres = db.Source()
	defer func() { err = errors.Join(err, db.Close(ctx)) }()

	s, err := newStory(ctx, db.Pool, show, result)
	if err != nil {
		return err
	}
	defer s.close()
	return s.play(ctx)
}
