package decide_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/subscription"
)

// host is what an application plugs in. Its functions may be replaced before it is used.
type host struct {
	check       func(r access.Request) error
	externalize decide.Externalize

	mu    sync.Mutex
	asked []access.Request
	calls int // of externalize
}

func (h *host) Check(_ context.Context, r access.Request) error {
	h.mu.Lock()
	h.asked = append(h.asked, r)
	h.mu.Unlock()
	if h.check == nil {
		return nil
	}
	return h.check(r)
}

// decider is one with the dialects that are built in, and a host.
func decider(t *testing.T, h *host) *decide.Decider {
	t.Helper()
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, checkers.RegisterDefault(h))
	dialects, err := dialect.NewRegistry(dialect.BuiltIn()...)
	require.NoError(t, err)
	return &decide.Decider{
		Access:  decide.Access{Checkers: checkers},
		Filters: decide.NewFilters(filter.Opts{}),
		Messages: decide.Messages{
			Dialects: dialects,
			MaxBytes: 1000,
			Timeout:  time.Minute,
			Externalizer: func(string, string, string) decide.Externalize {
				if h.externalize == nil {
					return nil
				}
				return func(ctx context.Context, ev dialect.Event) ([]byte, error) {
					h.mu.Lock()
					h.calls++
					h.mu.Unlock()
					return h.externalize(ctx, ev)
				}
			},
		},
		Tries: 2,
	}
}

// match is an active subscription of ada in the dialect plain, as it is changed.
func match(change func(s *subscription.Subscription)) decide.Match {
	m := decide.Match{Subscription: subscription.Subscription{
		ID:         uuid.New(),
		Dialect:    "plain",
		Owner:      "ada",
		Permission: "view",
		State:      subscription.StateActive,
	}}
	if change != nil {
		change(&m.Subscription)
	}
	return m
}

func input(matches ...decide.Match) *decide.Input {
	return &decide.Input{
		Event: dialect.Event{
			ID:           "event",
			Type:         "user.created",
			Site:         "/then",
			ResourceKind: "user",
			ResourceID:   "7",
			Actor:        "eve",
			Data:         []byte(`{"id":7}`),
		},
		Place:   resolve.Place{Site: "/now"},
		Matches: matches,
	}
}

// outcomes are those of decisions, each with its reason.
func outcomes(decisions []decide.Decision) []string {
	out := make([]string, len(decisions))
	for i, d := range decisions {
		out[i] = fmt.Sprintf("%s: %s", d.Outcome, d.Reason)
	}
	return out
}

func TestDecide_AnEventForEachStateOfASubscription(t *testing.T) {
	t.Parallel()
	var h host
	in := input(
		match(nil),
		match(func(s *subscription.Subscription) { s.State = subscription.StatePaused }),
		match(func(s *subscription.Subscription) { s.State = subscription.StateDeactivated }),
		match(func(s *subscription.Subscription) { s.State = subscription.StatePendingVerification }),
		match(func(s *subscription.Subscription) { s.Filter = `resource.id == "8"` }),
		match(func(s *subscription.Subscription) { s.Filter = `resource.id == ` }),
	)

	decisions, made := decider(t, &h).Decide(t.Context(), nil, in)

	got := outcomes(decisions)
	require.Equal(t, []string{
		"deliver: ",
		"deliver: ",
		"inactive: the subscription is deactivated",
		"inactive: the subscription's URL is not verified",
	}, got[:4])
	require.Contains(t, got[5], "filter_error: the filter does not compile: ")
	require.Equal(t, []attempt.Hold{"", attempt.HoldPaused}, []attempt.Hold{decisions[0].Hold, decisions[1].Hold})
	require.Len(t, made, 1)
	require.JSONEq(t, `{"id":7}`, string(made["plain"].Body))
	require.Equal(t, in.Matches[0].Subscription.ID, decisions[0].Subscription.ID)
	require.Len(t, h.asked, 2, "no owner is asked about for nothing")
	require.Equal(t, access.Path("/now"), h.asked[0].Site)
	require.Equal(t, access.Path("/then"), h.asked[0].RecordedSite)
}

func TestDecide_WhatACheckerAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer  error
		want    string
		unknown bool
	}{
		"allowed": {nil, "deliver: ", false},
		"denied":  {access.ErrDenied, `denied: "ada" may not view the resource`, false},
		"denied and why": {
			fmt.Errorf("not her office: %w", access.ErrDenied),
			`denied: "ada" may not view the resource: not her office: ` + access.ErrDenied.Error(),
			false,
		},
		"unknown":              {access.ErrUnknownPrincipal, `unresolvable: there is no principal "ada"`, true},
		"an error":             {errors.New("down"), "waiting: access could not be decided: access: default checker: down", false},
		"an error with a \x00": {errors.New("a\x00b"), "waiting: access could not be decided: access: default checker: a\uFFFDb", false},
	} {
		h := host{check: func(access.Request) error { return tc.answer }}
		operator := match(func(s *subscription.Subscription) { s.Operator, s.Owner = true, "" })

		decisions, _ := decider(t, &h).Decide(t.Context(), nil, input(match(nil), operator))

		require.Equal(t, []string{tc.want, "deliver: "}, outcomes(decisions), name)
		require.Equal(t, tc.unknown, decisions[0].OwnerUnknown, name)
		require.False(t, decisions[0].AccessAt.IsZero(), name)
		require.True(t, decisions[1].AccessAt.IsZero(), name)
	}
}

func TestDecide_RequireActorAsksAboutBoth(t *testing.T) {
	t.Parallel()
	for refused, want := range map[string]string{
		"":    "deliver: ",
		"ada": `denied: "ada" may not view the resource`,
		"eve": `denied: "eve" may not view the resource`,
	} {
		h := host{check: func(r access.Request) error {
			if r.Principal == refused {
				return access.ErrDenied
			}
			return nil
		}}
		d := decider(t, &h)
		d.Access.RequireActor = true

		decisions, _ := d.Decide(t.Context(), nil, input(match(nil)))

		require.Equal(t, []string{want}, outcomes(decisions))
		require.Len(t, h.asked, 2)
	}
}

func TestDecide_AMessageIsMadeOnceForEachDialect(t *testing.T) {
	t.Parallel()
	h := host{externalize: func(context.Context, dialect.Event) ([]byte, error) { return []byte(`{"loaded":true}`), nil }}
	standard := func(s *subscription.Subscription) { s.Dialect = "standard" }
	in := input(match(nil), match(standard), match(nil), match(standard))
	in.Messages = map[string]dialect.Message{"standard": {}}

	decisions, made := decider(t, &h).Decide(t.Context(), nil, in)

	require.Equal(t, []string{"deliver: ", "deliver: ", "deliver: ", "deliver: "}, outcomes(decisions))
	require.Len(t, made, 1)
	require.JSONEq(t, `{"loaded":true}`, string(made["plain"].Body))
	require.Equal(t, 1, h.calls)
}

func TestDecide_WithoutAMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data  string
		err   error
		tries int
		want  string
		then  int // tries
	}{
		"an error": {
			err:  errors.New("down"),
			want: "waiting: externalizer: down",
			then: 1,
		},
		"the last error": {
			err:   errors.New("down"),
			tries: 1,
			want:  "failed: externalizer: down",
			then:  2,
		},
		"gone": {err: fmt.Errorf("no row: %w", decide.ErrGone), want: "gone: the resource is gone"},
		"no JSON": {
			data: `{`,
			want: "waiting: externalizer: the data must be valid JSON",
			then: 1,
		},
		"too large": {
			data: fmt.Sprintf("%q", make([]byte, 2000)),
			want: "waiting: externalizer: the data has ",
			then: 1,
		},
		"given up": {
			err:  &callbacks.EndedError{Step: callbacks.StepExternalizer("plain")},
			want: "failed: process ended three times in ",
			then: 0,
		},
	} {
		h := host{externalize: func(context.Context, dialect.Event) ([]byte, error) { return []byte(tc.data), tc.err }}
		in := input(match(nil))
		in.Tries = map[uuid.UUID]int{in.Matches[0].Subscription.ID: tc.tries}

		decisions, made := decider(t, &h).Decide(t.Context(), nil, in)

		require.Empty(t, made, name)
		require.Contains(t, outcomes(decisions)[0], tc.want, name)
		require.Equal(t, tc.then, decisions[0].Tries, name)
	}
}

func TestDecide_ADialectThatIsMissingIsWaitedFor(t *testing.T) {
	t.Parallel()
	var h host
	in := input(match(func(s *subscription.Subscription) { s.Dialect = "later" }), match(nil))

	decisions, _ := decider(t, &h).Decide(t.Context(), nil, in)

	require.Equal(t, []string{`waiting: no dialect "later" in the process that tried`, "deliver: "}, outcomes(decisions))
	require.Zero(t, decisions[0].Tries)
}

func TestDecide_DataBeyondTheLimitFails(t *testing.T) {
	t.Parallel()
	var h host
	d := decider(t, &h)
	d.Messages.MaxBytes = 5

	decisions, _ := d.Decide(t.Context(), nil, input(match(nil)))

	require.Equal(t, []string{"failed: the data has 8 bytes; Config.Limits.RequestBytes allows 5"}, outcomes(decisions))
}

// Only what needs a step that is given up fails.
func TestDecide_AStepThatIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, step := range []callbacks.Step{
		callbacks.StepFilters, callbacks.StepChecker("user"), callbacks.StepExternalizer("plain"), callbacks.StepDialect("plain"),
	} {
		h := host{externalize: func(_ context.Context, ev dialect.Event) ([]byte, error) { return ev.Data, nil }}
		ended := callbacks.EndedRuns{Runs: map[string]int{step.String(): callbacks.MaxEndedRuns}}
		by := callbacks.New().Caller(callbacks.JobRef{}, uuid.New(), ended,
			func(context.Context, string) (int64, error) { return 1, nil })
		needs := match(func(s *subscription.Subscription) { s.Filter = "true" })
		free := match(func(s *subscription.Subscription) { s.Dialect, s.Operator = "standard", true })

		decisions, _ := decider(t, &h).Decide(t.Context(), by, input(needs, free))

		require.Equal(t, []string{"failed: process ended three times in " + step.String(), "deliver: "}, outcomes(decisions))
	}
}

func TestWithoutPlace_WaitsUnlessTheTreeIsGivenUp(t *testing.T) {
	t.Parallel()
	m := match(nil)
	tries := map[uuid.UUID]int{m.Subscription.ID: 3}
	for err, want := range map[error]string{
		errors.New("down"): "waiting: the site of the resource is not known now: down",
		&callbacks.EndedError{Step: callbacks.StepTree}: "failed: process ended three times in the tree of sites",
	} {
		decisions := decide.WithoutPlace(err, []decide.Match{m}, tries)
		require.Equal(t, []string{want}, outcomes(decisions))
		require.Equal(t, 3, decisions[0].Tries)
	}
}
