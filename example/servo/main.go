// Command servo tells what servo-webhooks does, on Riverhook: an optimizer asks, before
// it adjusts an application, those who may veto that, and tells afterwards what it
// has done.
//
//	go run ./example/servo
//
// Its webhooks are configured in servo's form and speak its dialect. One gate vetoes
// what is too expensive, one hangs and fails open, one is down and fails closed. It
// finds or starts a Postgres, makes a database of its own there, plays a few acts
// against receivers on this machine, and exits with 0 if everything was as it must be.
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
	flags := flag.NewFlagSet("servo", flag.ContinueOnError)
	result := newReport()
	os.Exit(program.Main(flags, result, func(ctx context.Context, show *program.Console) error {
		return run(ctx, show, result)
	}))
}

func run(ctx context.Context, show *program.Console, result *report) (err error) {
	db, err := scratch.Open(ctx, "servo", show.Notef)
	if err != nil {
		return err
	}
	result.Postgres = db.Source()
	defer func() { err = errors.Join(err, db.Close(ctx)) }()

	s, err := newStory(ctx, db.Pool, show, result)
	if s != nil {
		defer s.close()
	}
	if err != nil {
		return err
	}
	return s.play(ctx)
}
