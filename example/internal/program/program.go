// Package program is what the example programs have in common: their flags, what
// they print, and how they end.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Statuses that a program exits with.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Report is what a program has found: a struct that embeds [Verdict] and that
// -json prints.
type Report interface {
	fmt.Stringer // a line that says what was as it must be

	Result() *Verdict
}

// Main runs a program with the arguments of this process and returns its exit
// status: ExitOK if run returns nil and the report's verdict is good. The context
// ends at Ctrl-C, behind which run cleans up as behind any other end. Main adds -json to flags,
// which must be made with flag.ContinueOnError.
func Main(flags *flag.FlagSet, report Report, run func(context.Context, *Console) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := &Console{Out: os.Stdout, Err: os.Stderr}
	flags.BoolVar(&show.JSON, "json", false, "print one JSON object on standard output, all else on standard error")
	if err := flags.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return ExitOK
	} else if err != nil {
		return ExitUsage
	}
	if flags.NArg() > 0 {
		show.linef(show.Err, "%s: unexpected argument %q", flags.Name(), flags.Arg(0))
		return ExitUsage
	}
	if err := run(ctx, show); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		report.Result().Problemf("%v", err)
	}
	if err := show.end(flags.Name(), report); err != nil || !report.Result().OK {
		return ExitFailed
	}
	return ExitOK
}
