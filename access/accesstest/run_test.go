package accesstest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
)

type batch struct {
	access.Checker

	many func(rs []access.Request) []error
}

func (b batch) CheckMany(_ context.Context, rs []access.Request) []error { return b.many(rs) }

func cases() []Case {
	return []Case{
		{Name: "the owner", Request: access.Request{
			Principal:  "ann",
			Attributes: map[string]string{"a": "1"},
			Data:       []byte(`1`),
		}},
		{
			Name:    "a stranger",
			Request: access.Request{Principal: "bob"},
			Want:    access.ErrDenied,
		},
		{
			Name:    "nobody",
			Request: access.Request{Principal: "eve"},
			Want:    access.ErrUnknownPrincipal,
		},
	}
}

var table = Table{"ann": nil, "bob": access.ErrDenied}

func TestRun_AcceptsCheckersThatKeepTheContract(t *testing.T) {
	t.Parallel()
	r, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, r.RegisterDefault(table))
	for name, c := range map[string]access.Checker{
		"function": access.CheckerFunc(table.Check), "registry": r, "table": table,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, c, cases())
		})
	}
}

func TestRun_FindsBrokenCheckers(t *testing.T) {
	t.Parallel()

	t.Run("AnotherAnswer", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, answers(t.Context(), Allow(), cases()[1]), `a stranger: got "allowed"`)
		require.ErrorContains(t, answers(t.Context(), Deny(), cases()[0]), `want "allowed"`)
		require.ErrorContains(t, answers(t.Context(), Deny(), cases()[2]), "unknown principal")
	})

	t.Run("AnAnswerThatChanges", func(t *testing.T) {
		t.Parallel()
		require.Error(t, answers(t.Context(), NewScript(access.ErrDenied, nil), cases()[1]))
		require.Error(t, concurrent(t.Context(), NewScript(nil, access.ErrDenied, access.ErrUnknownPrincipal, nil), cases()))
	})

	t.Run("ARequestThatIsModified", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, unmodified(t.Context(), access.CheckerFunc(func(_ context.Context, r access.Request) error {
			if r.Attributes != nil {
				r.Attributes["seen"] = "yes"
			}
			return nil
		}), cases()), "modified")
		require.ErrorContains(t, unmodified(t.Context(), access.CheckerFunc(func(_ context.Context, r access.Request) error {
			clear(r.Data)
			return nil
		}), cases()), "modified")
	})

	t.Run("ACancelledCallThatDecides", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, cancelled(access.CheckerFunc(func(ctx context.Context, r access.Request) error {
			if ctx.Err() != nil {
				return access.ErrDenied
			}
			return table.Check(ctx, r)
		}), cases(), patience), "decided")
	})

	t.Run("ACheckerThatIgnoresItsContext", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			stuck := make(chan struct{})
			defer close(stuck)
			require.ErrorContains(t, cancelled(access.CheckerFunc(func(context.Context, access.Request) error {
				<-stuck
				return nil
			}), cases(), time.Minute), "did not return")
		})
	})

	t.Run("ABatchThatDisagrees", func(t *testing.T) {
		t.Parallel()
		for name, checkMany := range map[string]func(rs []access.Request) []error{
			"1 answers to no request": func(rs []access.Request) []error { return make([]error, len(rs)+1) },
			"0 answers to 6 requests": func([]access.Request) []error { return nil },
			"answer 2":                func(rs []access.Request) []error { return make([]error, len(rs)) },
			"answer 1": func(rs []access.Request) []error {
				out := table.CheckMany(context.Background(), rs)
				for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
					out[i], out[j] = out[j], out[i]
				}
				if len(out) > 0 {
					out[0] = access.ErrUnknownPrincipal
				}
				return out
			},
		} {
			require.ErrorContains(t, many(t.Context(), batch{table, checkMany}, cases()), name)
		}
	})
}

func TestCheckers_DoAsTheirNamesSay(t *testing.T) {
	t.Parallel()

	t.Run("AllowAndDeny", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, Allow().Check(t.Context(), access.Request{}))
		require.ErrorIs(t, Deny().Check(t.Context(), access.Request{}), access.ErrDenied)
	})

	t.Run("FlakyRecoversAfterItsFailures", func(t *testing.T) {
		t.Parallel()
		down := errors.New("down")
		c := Flaky(2, down)
		require.ErrorIs(t, c.Check(t.Context(), access.Request{}), down)
		require.ErrorIs(t, c.Check(t.Context(), access.Request{}), down)
		require.NoError(t, c.Check(t.Context(), access.Request{}))
		require.NoError(t, c.Check(t.Context(), access.Request{}))
		require.NoError(t, NewScript().Check(t.Context(), access.Request{}))
	})

	t.Run("BlockingWaitsForReleaseOrForItsContext", func(t *testing.T) {
		t.Parallel()
		c := NewBlocking()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- c.Check(ctx, access.Request{Principal: "ann"}) }()
		require.Equal(t, "ann", (<-c.Entered()).Principal)
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)

		go func() { second <- c.Check(t.Context(), access.Request{Principal: "bob"}) }()
		require.Equal(t, "bob", (<-c.Entered()).Principal)
		c.Release()
		c.Release()
		require.NoError(t, <-second)
	})

	t.Run("RecorderKeepsWhatWasAsked", func(t *testing.T) {
		t.Parallel()
		var calls atomic.Int32
		c := Record(access.CheckerFunc(func(context.Context, access.Request) error {
			return fmt.Errorf("call %d", calls.Add(1))
		}))
		require.EqualError(t, c.Check(t.Context(), access.Request{Principal: "ann"}), "call 1")
		require.Equal(t, []access.Request{{Principal: "ann"}}, c.Requests())
	})
}
