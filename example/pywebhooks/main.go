// Command pywebhooks tells what the service PyWebhooks does, on Riverhook: accounts
// with an endpoint, registrations of events that others subscribe to, and triggers.
//
//	go run ./example/pywebhooks
//
// An endpoint proves by an echo that it wants requests, also when it changes. Requests
// are signed and repeated as PyWebhooks does it, and an endpoint that fails too often
// is left in peace. It finds or starts a Postgres, makes a database of its own there,
// plays a few acts against receivers on this machine, and exits with 0 if everything
// was as it must be.
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
	flags := flag.NewFlagSet("pywebhooks", flag.ContinueOnError)
	result := newReport()
	os.Exit(program.Main(flags, result, func(ctx context.Context, show *program.Console) error {
		return run(ctx, show, result)
	}))
}

func run(ctx context.Context, show *program.Console, result *report) (err error) {
	db, err := scratch.Open(ctx, "pywebhooks", show.Notef)
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
