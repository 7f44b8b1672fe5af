package accesstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/riverhook/riverhook/access"
)

// Case is a request and the answer that a checker must give to it.
type Case struct {
	// Name names the subtest.
	Name string
	// Request is what is asked.
	Request access.Request
	// Want is nil for allowed, or what the answer must be by errors.Is:
	// usually [access.ErrDenied] or [access.ErrUnknownPrincipal].
	Want error
}

// A checker that does not come back this long after its context ended ignores it.
const patience = 10 * time.Second

// Run checks that a checker keeps the contract of [access.Checker]: each case
// gets its answer, twice and from many goroutines; requests are not modified;
// CheckMany, if there is one, gives the same answers in the same order, one
// each, also to no request at all; and a call whose context is done returns
// soon and does not turn that into a decision. A test that runs it with -race
// sees more. There must be at least one case.
func Run(t *testing.T, c access.Checker, cases []Case) {
	t.Helper()
	if len(cases) == 0 {
		t.Fatal("accesstest: Run needs at least one case")
	}
	for i, tc := range cases {
		t.Run(fmt.Sprintf("Answers/%d %s", i+1, tc.Name), func(t *testing.T) {
			report(t, answers(t.Context(), c, tc))
		})
	}
	t.Run("IsSafeForConcurrentUse", func(t *testing.T) { report(t, concurrent(t.Context(), c, cases)) })
	t.Run("LeavesRequestsAsTheyAre", func(t *testing.T) { report(t, unmodified(t.Context(), c, cases)) })
	t.Run("DecidesNothingWhenTheContextIsDone", func(t *testing.T) { report(t, cancelled(c, cases, patience)) })
	if batch, ok := c.(access.BatchChecker); ok {
		t.Run("CheckManyAgreesWithCheck", func(t *testing.T) { report(t, many(t.Context(), batch, cases)) })
	}
}

func report(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func answers(ctx context.Context, c access.Checker, tc Case) error {
	for range 2 {
		if err := match(tc, c.Check(ctx, tc.Request)); err != nil {
			return err
		}
	}
	return nil
}

func concurrent(ctx context.Context, c access.Checker, cases []Case) error {
	const callers = 8
	failures := make([]error, callers*len(cases))
	var wg sync.WaitGroup
	for i := range failures {
		wg.Go(func() {
			tc := cases[i%len(cases)]
			failures[i] = match(tc, c.Check(ctx, tc.Request))
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

func unmodified(ctx context.Context, c access.Checker, cases []Case) error {
	for _, tc := range cases {
		r := tc.Request
		r.Attributes, r.Data = maps.Clone(r.Attributes), slices.Clone(r.Data)
		_ = c.Check(ctx, r)
		if !maps.Equal(r.Attributes, tc.Request.Attributes) || !slices.Equal(r.Data, tc.Request.Data) {
			return fmt.Errorf("%s: Check modified the Attributes or Data of its request", tc.Name)
		}
	}
	return nil
}

func cancelled(c access.Checker, cases []Case, patience time.Duration) error {
	for _, tc := range cases {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		answer := make(chan error, 1)
		go func() { answer <- c.Check(ctx, tc.Request) }()

		timer := time.NewTimer(patience)
		select {
		case got := <-answer:
			timer.Stop()
			if decision(got) && match(tc, got) != nil {
				return fmt.Errorf(
					"%s: with a context that is done, Check decided %q; that must be an error that is no decision",
					tc.Name, text(got))
			}
		case <-timer.C:
			return fmt.Errorf("%s: Check did not return %s after its context was done", tc.Name, patience)
		}
	}
	return nil
}

func many(ctx context.Context, c access.BatchChecker, cases []Case) error {
	if got := c.CheckMany(ctx, nil); len(got) != 0 {
		return fmt.Errorf("CheckMany gave %d answers to no request", len(got))
	}
	reqs := make([]access.Request, 0, 2*len(cases))
	for _, tc := range cases {
		reqs = append(reqs, tc.Request)
	}
	backward := slices.Clone(cases)
	slices.Reverse(backward)
	all := slices.Concat(cases, backward)
	for _, tc := range backward {
		reqs = append(reqs, tc.Request)
	}
	got := c.CheckMany(ctx, reqs)
	if len(got) != len(reqs) {
		return fmt.Errorf("CheckMany gave %d answers to %d requests", len(got), len(reqs))
	}
	for i, tc := range all {
		if err := match(tc, got[i]); err != nil {
			return fmt.Errorf("CheckMany, answer %d: %w", i+1, err)
		}
	}
	return nil
}

func match(tc Case, got error) error {
	if !errors.Is(got, tc.Want) {
		return fmt.Errorf("%s: got %q, want %q", tc.Name, text(got), text(tc.Want))
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return "allowed"
	}
	return err.Error()
}

func decision(err error) bool {
	return err == nil || errors.Is(err, access.ErrDenied) || errors.Is(err, access.ErrUnknownPrincipal)
}
