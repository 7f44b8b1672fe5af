// Command receiver shows package receiver at work: an engine sends the events of a
// directory of people to a receiving process, once in each built-in dialect, and that
// process is killed in the middle.
//
//	go run ./example/receiver
//
// It finds or starts a Postgres, makes a database of its own there, and runs itself
// once more as the receiving process, which verifies each request, stores its event, and
// processes it with an effect in the same transaction. It ends with the counts that the
// database has, and exits with 0 if each event was processed exactly once in each
// dialect.
//
//	-json    print one JSON object instead of tables
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/example/internal/scratch"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == receivingArg {
		if err := receive(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "receiving process:", err)
			os.Exit(program.ExitFailed)
		}
		os.Exit(program.ExitOK)
	}
	result := newReport()
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	os.Exit(program.Main(flags, result, func(ctx context.Context, show *program.Console) error {
		return run(ctx, show, result)
	}))
}

func run(ctx context.Context, show *program.Console, result *report) (err error) {
	db, err := scratch.Open(ctx, "receiver", show.Notef)
	if err != nil {
		return err
	}
	result.Postgres = db.Source()
	defer func() { err = errors.Join(err, db.Close(ctx)) }()

	s, err := newStory(ctx, db, show, result)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	return s.play(ctx)
}
