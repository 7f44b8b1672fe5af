// Command bench measures Riverhook against what River and Postgres can do on the
// same machine in the same run.
//
//	go run ./internal/bench -scenario deliver -quick
//
// Each scenario starts a Postgres of its own with the settings that Postgres
// comes with (or takes the server that DATABASE_URL names), runs its receiver in
// a process of its own, and gives the engine the zero Config but for what a
// receiver on this machine needs. Ceiling and engine take turns in several
// rounds, and the medians are printed, since the speed of a machine drifts.
//
//	-scenario NAME   enqueue, deliver, steady, latency, neighbour, tenants, crash, backlog, resolve or all
//	-quick           smaller sizes: all scenarios in a few minutes
//	-tiny            the smallest sizes: all scenarios in about a minute, whose figures say nothing
//	-json            print one JSON object a line for each scenario
//	-only REGEXP     measure only the variants whose names match (deliver, tenants)
//	-cpuprofile FILE write a CPU profile of the last round of each variant to
//	                 FILE with the variant's name before its suffix (deliver)
//	-report FILE     write docs/benchmarks.md from the results in
//	                 FILE, made by -scenario all -json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var code int
	if role := os.Getenv(childVariable); role != "" {
		code = runChild(ctx, role, os.Stdin, os.Stdout, os.Stderr)
	} else {
		code = start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	os.Exit(code)
}

type scenario struct {
	name string
	run  func(ctx context.Context, b *bench) (*result, error)
}

// scenarios in the order in which "all" runs them.
func scenarios() []scenario {
	return []scenario{
		{"enqueue", enqueue},
		{"deliver", deliver},
		{"steady", steady},
		{"latency", latency},
		{"neighbour", neighbour},
		{"tenants", tenants},
		{"crash", crash},
		{"backlog", backlog},
		{"resolve", resolve},
	}
}

type options struct {
	json      bool
	only      *regexp.Regexp
	profile   string
	report    string
	scenarios []scenario
	size      size
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		printf(stderr, "bench: %v\n", err)
		return exitUsage
	}
	if opts.report != "" {
		if err := writeReport(opts.report, "docs"); err != nil {
			printf(stderr, "bench: report: %v\n", err)
			return exitFailed
		}
		return exitOK
	}
	for _, s := range opts.scenarios {
		if err := runScenario(ctx, s, opts, stdout, stderr); err != nil {
			printf(stderr, "bench: %s: %v\n", s.name, err)
			return exitFailed
		}
	}
	return exitOK
}

func parse(args []string, stderr io.Writer) (*options, error) {
	opts := &options{size: full}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var small, smallest bool
	var name, only string
	flags.StringVar(&name, "scenario", "", "`name` of a scenario: "+scenarioNames()+" or all")
	flags.BoolVar(&small, "quick", false, "smaller sizes: all scenarios in a few minutes")
	flags.BoolVar(&smallest, "tiny", false, "the smallest sizes: all scenarios in about a minute, whose figures say nothing")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object a line for each scenario")
	flags.StringVar(&only, "only", "", "measure only the variants whose names match this `regexp` (deliver, tenants)")
	flags.StringVar(&opts.profile, "cpuprofile", "", "write CPU profiles to this `file`, with the variant's name before its suffix (deliver)")
	flags.StringVar(&opts.report, "report", "", "write docs/benchmarks.md from the results in this `file`, made by -scenario all -json")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case small && smallest:
		return nil, errors.New("give one of -quick and -tiny")
	case small:
		opts.size = quick
	case smallest:
		opts.size = tiny
	}
	var err error
	if opts.only, err = regexp.Compile(only); err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	for _, s := range scenarios() {
		if s.name == name || name == "all" {
			opts.scenarios = append(opts.scenarios, s)
		}
	}
	if len(opts.scenarios) == 0 && opts.report == "" {
		return nil, fmt.Errorf("-scenario %q: give one of %s or all", name, scenarioNames())
	}
	return opts, nil
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func runScenario(ctx context.Context, s scenario, opts *options, stdout, stderr io.Writer) error {
	began := time.Now()
	b, err := newBench(ctx, opts, stderr)
	if err != nil {
		return err
	}
	b.sayf("%s: %s", s.name, b.source)
	r, err := s.run(ctx, b)
	if err := errors.Join(err, b.close(ctx)); err != nil {
		return err
	}
	r.Scenario, r.Run = s.name, b.environment(began)
	if !opts.json {
		return r.print(stdout)
	}
	return json.NewEncoder(stdout).Encode(r)
}
