// Command mutants checks the tests: it breaks the library in ways that break a
// promise, one at a time, and wants the test that protects the promise to fail.
//
//	go run ./internal/mutants
//	go run ./internal/mutants -only circuit
//
// Nothing in the source tree is changed: the compiler is told to read a changed
// file in place of the real one. It exits with 1 if a mutant survives, that is,
// if its test passes; what is missing then is a test. It starts a Postgres of
// its own, or takes the server that DATABASE_URL names.
//
//	-only REGEXP   only the mutants whose names match
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"github.com/riverhook/riverhook/internal/pgserver"
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

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	chosen, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		printf(stderr, "mutants: %v\n", err)
		return exitUsage
	}
	if err := check(ctx, chosen, stdout); err != nil {
		printf(stderr, "mutants: %v\n", err)
		return exitFailed
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) ([]mutant, error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var only string
	flags.StringVar(&only, "only", "", "only the mutants whose names match this `regexp`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !pattern.MatchString(m.name) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-only %q: no mutant has such a name", only)
	}
	return chosen, nil
}

// check runs the chosen mutants. Its error is that one survived, or that it
// could not be found out.
func check(ctx context.Context, chosen []mutant, out io.Writer) (err error) {
	server, err := pgserver.Start(ctx, &pgserver.Opts{Fast: true, MaxConnections: 300})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	c, err := newChecker(ctx, server.URL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	printf(out, "%s\n", server.Source())
	if err := c.passUnchanged(ctx, chosen); err != nil {
		return err
	}
	failed := 0
	for r := range c.checkAll(ctx, chosen) {
		r.print(out)
		if r.verdict != caught {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d mutants were not caught", failed, len(chosen))
	}
	printf(out, "all %d mutants were caught\n", len(chosen))
	return nil
}

// printf writes for people: nothing follows from what they cannot read.
func printf(to io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(to, format, args...) }
