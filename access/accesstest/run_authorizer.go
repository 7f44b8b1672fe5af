package accesstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/riverhook/riverhook/access"
)

// ActionCase is an action and the answer that an authorizer must give to it.
type ActionCase struct {
	// Name names the subtest.
	Name string
	// Action is what is asked.
	Action access.Action
	// Want is nil for allowed, or what the answer must be by errors.Is:
	// usually [access.ErrDenied].
	Want error
}

// RunAuthorizer checks that an authorizer keeps the contract of
// [access.Authorizer]: each case gets its answer, twice and from many goroutines;
// a verb that it does not know is denied to everybody, and each verb to the
// principal ""; actions are not modified; AuthorizeMany, if there is one, gives the
// same answers in the same order; and a call whose context is done returns soon
// and does not turn that into a permission. There must be a case that is allowed,
// and one that is not.
func RunAuthorizer(t *testing.T, auth access.Authorizer, cases []ActionCase) {
	t.Helper()
	allowed := func(c ActionCase) bool { return c.Want == nil }
	if !slices.ContainsFunc(cases, allowed) || !slices.ContainsFunc(cases, func(c ActionCase) bool { return !allowed(c) }) {
		t.Fatal("accesstest: RunAuthorizer needs at least one case that is allowed and one that is not")
	}
	for i, c := range cases {
		t.Run(fmt.Sprintf("Answers/%d %s", i+1, c.Name), func(t *testing.T) { report(t, decides(t.Context(), auth, c)) })
	}
	t.Run("DeniesVerbsThatItDoesNotKnow", func(t *testing.T) { report(t, deniesUnknown(t.Context(), auth, cases)) })
	t.Run("IsSafeForConcurrentUse", func(t *testing.T) { report(t, decidesConcurrently(t.Context(), auth, cases)) })
	t.Run("LeavesActionsAsTheyAre", func(t *testing.T) { report(t, leavesActions(t.Context(), auth, cases)) })
	t.Run("AllowsNothingWhenTheContextIsDone", func(t *testing.T) { report(t, decidesLate(auth, cases, patience)) })
	if batch, ok := auth.(access.BatchAuthorizer); ok {
		t.Run("AuthorizeManyAgreesWithAuthorize", func(t *testing.T) { report(t, decidesMany(t.Context(), batch, cases)) })
	}
}

func decides(ctx context.Context, auth access.Authorizer, c ActionCase) error {
	for range 2 {
		if err := matches(c, auth.Authorize(ctx, c.Action)); err != nil {
			return err
		}
	}
	return nil
}

func deniesUnknown(ctx context.Context, auth access.Authorizer, cases []ActionCase) error {
	for _, c := range cases {
		unheard, nobody := c.Action, c.Action
		unheard.Verb, nobody.Principal = "accesstest.unheard-of", ""
		for _, a := range []access.Action{unheard, nobody} {
			if err := auth.Authorize(ctx, a); err == nil {
				return fmt.Errorf("%s: the verb %q is allowed to %q", c.Name, a.Verb, a.Principal)
			}
		}
	}
	return nil
}

func decidesConcurrently(ctx context.Context, auth access.Authorizer, cases []ActionCase) error {
	const callers = 8
	failures := make([]error, callers*len(cases))
	var wg sync.WaitGroup
	for i := range failures {
		wg.Go(func() { failures[i] = matches(cases[i%len(cases)], auth.Authorize(ctx, cases[i%len(cases)].Action)) })
	}
	wg.Wait()
	return errors.Join(failures...)
}

func leavesActions(ctx context.Context, auth access.Authorizer, cases []ActionCase) error {
	for _, c := range cases {
		a := c.Action
		a.Events, a.Channels = slices.Clone(a.Events), slices.Clone(a.Channels)
		_ = auth.Authorize(ctx, a)
		if !reflect.DeepEqual(a, c.Action) {
			return fmt.Errorf("%s: Authorize modified the Events or Channels of its action", c.Name)
		}
	}
	return nil
}

func decidesLate(auth access.Authorizer, cases []ActionCase, patience time.Duration) error {
	for _, c := range cases {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		answer := make(chan error, 1)
		go func() { answer <- auth.Authorize(ctx, c.Action) }()

		timer := time.NewTimer(patience)
		select {
		case got := <-answer:
			timer.Stop()
			if decision(got) && matches(c, got) != nil {
				return fmt.Errorf("%s: with a context that is done, Authorize decided %q", c.Name, text(got))
			}
		case <-timer.C:
			return fmt.Errorf("%s: Authorize did not return %s after its context was done", c.Name, patience)
		}
	}
	return nil
}

func decidesMany(ctx context.Context, auth access.BatchAuthorizer, cases []ActionCase) error {
	if got := auth.AuthorizeMany(ctx, nil); len(got) != 0 {
		return fmt.Errorf("AuthorizeMany gave %d answers to no action", len(got))
	}
	backward := slices.Clone(cases)
	slices.Reverse(backward)
	all := slices.Concat(cases, backward)
	actions := make([]access.Action, len(all))
	for i, c := range all {
		actions[i] = c.Action
	}
	got := auth.AuthorizeMany(ctx, actions)
	if len(got) != len(actions) {
		return fmt.Errorf("AuthorizeMany gave %d answers to %d actions", len(got), len(actions))
	}
	for i, c := range all {
		if err := matches(c, got[i]); err != nil {
			return fmt.Errorf("AuthorizeMany, answer %d: %w", i+1, err)
		}
	}
	return nil
}

func matches(c ActionCase, got error) error {
	if !errors.Is(got, c.Want) {
		return fmt.Errorf("%s: got %q, want %q", c.Name, text(got), text(c.Want))
	}
	return nil
}
