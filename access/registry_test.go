package access_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
)

// batchFunc is a checker that can only be asked for many.
type batchFunc func(ctx context.Context, rs []access.Request) []error

func (f batchFunc) Check(context.Context, access.Request) error {
	panic("Check of a BatchChecker was called")
}

func (f batchFunc) CheckMany(ctx context.Context, rs []access.Request) []error { return f(ctx, rs) }

type pointerChecker struct{}

func (*pointerChecker) Check(context.Context, access.Request) error { return nil }

func about(kind, principal string) access.Request {
	return access.Request{
		Principal:  principal,
		Permission: "view",
		Resource:   access.Resource{Kind: kind, ID: "1"},
	}
}

// has says whether there is a checker for resources of a kind.
func has(t *testing.T, r *access.Registry, kind string) bool {
	t.Helper()
	return !errors.Is(r.Check(t.Context(), access.Request{Resource: access.Resource{Kind: kind}}), access.ErrNoChecker)
}

func TestRegistry_HasOneCheckerForEachKindAndAllowsNothingElse(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T) *access.Registry {
		t.Helper()
		r, err := access.NewRegistry(nil)
		require.NoError(t, err)
		return r
	}

	t.Run("RefusesAConfigThatMakesNoSense", func(t *testing.T) {
		t.Parallel()
		_, err := access.NewRegistry(&access.RegistryConfig{Timeout: 5})
		require.EqualError(t, err, "access: RegistryConfig.Timeout is 5ns; must be at least 1 ms")
		_, err = access.NewRegistry(&access.RegistryConfig{Parallel: -1})
		require.EqualError(t, err, "access: RegistryConfig.Parallel must not be negative")
	})

	t.Run("RefusesANilChecker", func(t *testing.T) {
		t.Parallel()
		r := setup(t)
		for _, c := range []access.Checker{nil, access.CheckerFunc(nil), (*pointerChecker)(nil), accesstest.Table(nil)} {
			require.ErrorContains(t, r.Register("user", c), "nil")
			require.ErrorContains(t, r.RegisterDefault(c), "nil")
		}
		require.ErrorIs(t, r.Check(t.Context(), about("user", "ann")), access.ErrNoChecker)
		require.False(t, has(t, r, "user"))
	})

	t.Run("RefusesATakenKindAndChangesNothing", func(t *testing.T) {
		t.Parallel()
		r := setup(t)
		require.NoError(t, r.Register("user", accesstest.Deny()))
		require.ErrorContains(t, r.Register("user", accesstest.Allow()), "taken")
		require.ErrorIs(t, r.Check(t.Context(), about("user", "ann")), access.ErrDenied)

		require.NoError(t, r.RegisterDefault(accesstest.Deny()))
		require.Error(t, r.RegisterDefault(accesstest.Allow()))
		require.ErrorIs(t, r.Check(t.Context(), about("office", "ann")), access.ErrDenied)
	})

	t.Run("RefusesAnEmptyKind", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, setup(t).Register("", accesstest.Allow()), "RegisterDefault")
	})

	t.Run("TheZeroRegistryAllowsNothingAndCanBeFilled", func(t *testing.T) {
		t.Parallel()
		var r access.Registry
		require.ErrorIs(t, r.Check(t.Context(), about("user", "ann")), access.ErrNoChecker)
		require.NoError(t, r.Register("user", accesstest.Allow()))
		require.NoError(t, r.Check(t.Context(), about("user", "ann")))
	})

	t.Run("ANilRegistryAllowsNothing", func(t *testing.T) {
		t.Parallel()
		var r *access.Registry
		answers := r.CheckMany(t.Context(), []access.Request{about("user", "ann"), about("office", "bob")})
		require.Len(t, answers, 2)
		for _, err := range answers {
			require.ErrorIs(t, err, access.ErrNoChecker)
		}
		require.False(t, has(t, r, "user"))
	})

	t.Run("ANilFunctionAllowsNothing", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, access.CheckerFunc(nil).Check(t.Context(), access.Request{}), access.ErrNoChecker)
	})
}

func TestRegistry_CheckManyAnswersEachByTheCheckerOfItsKind(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T, checkers map[string]access.Checker) *access.Registry {
		t.Helper()
		r, err := access.NewRegistry(&access.RegistryConfig{Timeout: 5 * time.Second})
		require.NoError(t, err)
		for kind, c := range checkers {
			require.NoError(t, r.Register(kind, c))
		}
		return r
	}

	t.Run("AnswersEachRequestByTheCheckerOfItsKind", func(t *testing.T) {
		t.Parallel()
		batch := accesstest.Table{"ann": nil, "bob": access.ErrDenied}
		r := setup(t, map[string]access.Checker{"user": batch, "office": accesstest.Deny()})
		answers := r.CheckMany(t.Context(), []access.Request{
			about("user", "ann"), about("office", "ann"), about("invoice", "ann"),
			about("user", "bob"), about("user", "eve"), about("user", "ann"),
		})
		require.Len(t, answers, 6)
		require.NoError(t, answers[0])
		require.ErrorIs(t, answers[1], access.ErrDenied)
		require.ErrorIs(t, answers[2], access.ErrNoChecker)
		require.ErrorContains(t, answers[2], `"invoice"`)
		require.ErrorIs(t, answers[3], access.ErrDenied)
		require.ErrorIs(t, answers[4], access.ErrUnknownPrincipal)
		require.NoError(t, answers[5])
	})

	t.Run("AnswersNothingToNothing", func(t *testing.T) {
		t.Parallel()
		require.Empty(t, setup(t, nil).CheckMany(t.Context(), nil))
	})

	t.Run("TheDefaultCheckerIsForOtherKindsAndForNone", func(t *testing.T) {
		t.Parallel()
		r := setup(t, map[string]access.Checker{"user": accesstest.Deny()})
		recorder := accesstest.Record(accesstest.Allow())
		require.NoError(t, r.RegisterDefault(recorder))
		answers := r.CheckMany(t.Context(), []access.Request{about("user", "ann"), about("", "ann"), about("office", "ann")})
		require.ErrorIs(t, answers[0], access.ErrDenied)
		require.NoError(t, answers[1])
		require.NoError(t, answers[2])
		require.Len(t, recorder.Requests(), 2)
	})

	t.Run("ABatchCheckerGetsItsRequestsInOneCall", func(t *testing.T) {
		t.Parallel()
		var calls [][]access.Request
		r := setup(t, map[string]access.Checker{"user": batchFunc(func(_ context.Context, rs []access.Request) []error {
			calls = append(calls, slices.Clone(rs))
			answers := make([]error, len(rs))
			answers[1] = fmt.Errorf("%w: not in this office", access.ErrDenied)
			clear(rs) // what the checker does to its slice stays with it
			return answers
		})})
		reqs := []access.Request{about("user", "ann"), about("office", "ann"), about("user", "bob")}
		answers := r.CheckMany(t.Context(), reqs)
		require.Equal(t, [][]access.Request{{about("user", "ann"), about("user", "bob")}}, calls)
		require.NoError(t, answers[0])
		require.EqualError(t, answers[2], "access: denied: not in this office")
		require.Equal(t, "bob", reqs[2].Principal)
	})

	t.Run("ABatchAnswerOfAnotherLengthIsAnErrorForThatGroup", func(t *testing.T) {
		t.Parallel()
		for _, answer := range [][]error{nil, {}, {nil}, {nil, nil, nil}} {
			r := setup(t, map[string]access.Checker{
				"user":   batchFunc(func(context.Context, []access.Request) []error { return answer }),
				"office": accesstest.Allow(),
			})
			answers := r.CheckMany(t.Context(), []access.Request{about("user", "ann"), about("office", "ann"), about("user", "bob")})
			require.ErrorContains(t, answers[0], "answers to 2 requests")
			require.NoError(t, answers[1])
			require.ErrorContains(t, answers[2], "answers to 2 requests")
		}
	})

	t.Run("WrappedDecisionsKeepTheirWordsAndOtherErrorsSayWhereTheyComeFrom", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("connection refused")
		script := accesstest.NewScript(fmt.Errorf("ann left: %w", access.ErrUnknownPrincipal), fmt.Errorf("directory: %w", cause))
		r := setup(t, map[string]access.Checker{"user": script})
		require.EqualError(t, r.Check(t.Context(), about("user", "ann")), "ann left: access: unknown principal")
		err := r.Check(t.Context(), about("user", "ann"))
		require.ErrorIs(t, err, cause)
		require.NotErrorIs(t, err, access.ErrDenied)
		require.EqualError(t, err, `access: checker of kind "user": directory: connection refused`)
	})

	t.Run("APanicIsAnErrorOfThatCallAloneAndNoDecision", func(t *testing.T) {
		t.Parallel()
		r := setup(t, map[string]access.Checker{
			"user": access.CheckerFunc(func(_ context.Context, r access.Request) error {
				if r.Principal == "bob" {
					panic(access.ErrDenied)
				}
				return nil
			}),
			"office": batchFunc(func(context.Context, []access.Request) []error { panic("boom") }),
		})
		answers := r.CheckMany(t.Context(), []access.Request{
			about("user", "ann"), about("user", "bob"), about("office", "ann"), about("user", "eve"),
		})
		require.NoError(t, answers[0])
		require.EqualError(t, answers[1], `access: checker of kind "user": panic: access: denied`)
		require.NotErrorIs(t, answers[1], access.ErrDenied)
		require.EqualError(t, answers[2], `access: checker of kind "office": panic: boom`)
		require.NotContains(t, answers[2].Error(), "goroutine")
		require.NoError(t, answers[3])
	})

	t.Run("ACheckerThatEndsItsGoroutineAllowsNothing", func(t *testing.T) {
		t.Parallel()
		r := setup(t, map[string]access.Checker{"user": access.CheckerFunc(func(context.Context, access.Request) error {
			runtime.Goexit()
			return nil
		})})
		require.ErrorContains(t, r.Check(t.Context(), about("user", "ann")), "without an answer")
	})

	t.Run("ATypedNilErrorAllowsNothing", func(t *testing.T) {
		t.Parallel()
		r := setup(t, map[string]access.Checker{"user": accesstest.Fail((*nilError)(nil))})
		require.Error(t, r.Check(t.Context(), about("user", "ann")))
	})

	t.Run("AContextThatIsDoneAsksNobody", func(t *testing.T) {
		t.Parallel()
		recorder := accesstest.Record(accesstest.Allow())
		r := setup(t, map[string]access.Checker{"user": recorder})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.Check(ctx, about("user", "ann")), context.Canceled)
		require.Empty(t, recorder.Requests())
	})

	t.Run("IsSafeForConcurrentUse", func(t *testing.T) {
		t.Parallel()
		r := setup(t, map[string]access.Checker{"user": accesstest.Allow()})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_ = r.Register(fmt.Sprint("kind", i), accesstest.Allow())
				_ = r.CheckMany(t.Context(), []access.Request{about("user", "ann"), about("kind1", "ann")})
			})
		}
		wg.Wait()
		require.True(t, has(t, r, "kind7"))
	})
}

func TestRegistry_GivesEachCallADeadline(t *testing.T) {
	t.Parallel()

	t.Run("EndsTheContextOfACallAfterFiveSecondsByDefault", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var r access.Registry
			require.NoError(t, r.Register("user", accesstest.NewBlocking()))
			start := time.Now()
			err := r.Check(t.Context(), about("user", "ann"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 5*time.Second, time.Since(start))
		})
	})

	t.Run("HoldsForACheckerThatIgnoresItsContextAndDropsItsAnswer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Second})
			require.NoError(t, err)
			stuck := make(chan struct{})
			require.NoError(t, r.Register("user", batchFunc(func(_ context.Context, rs []access.Request) []error {
				<-stuck
				return make([]error, len(rs))
			})))
			require.NoError(t, r.Register("office", accesstest.Allow()))
			start := time.Now()
			answers := r.CheckMany(t.Context(), []access.Request{about("user", "ann"), about("office", "ann"), about("user", "bob")})
			require.Equal(t, time.Second, time.Since(start))
			require.ErrorIs(t, answers[0], context.DeadlineExceeded)
			require.NoError(t, answers[1])
			require.ErrorIs(t, answers[2], context.DeadlineExceeded)
			close(stuck)
			synctest.Wait()
			require.ErrorIs(t, answers[0], context.DeadlineExceeded)
		})
	})

	t.Run("OneForAllCallsTogether", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Second})
			require.NoError(t, err)
			blocking := accesstest.NewBlocking()
			require.NoError(t, r.Register("user", blocking))
			start := time.Now()
			for _, answer := range r.CheckMany(t.Context(), slices.Repeat([]access.Request{about("user", "ann")}, 500)) {
				require.ErrorIs(t, answer, context.DeadlineExceeded)
			}
			require.Equal(t, time.Second, time.Since(start))
		})
	})

	t.Run("HandsOnWhatIsAnsweredWhileOthersHang", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, err := access.NewRegistry(nil)
			require.NoError(t, err)
			require.NoError(t, r.Register("user", access.CheckerFunc(func(ctx context.Context, r access.Request) error {
				if r.Principal == "slow" {
					<-ctx.Done()
				}
				return nil
			})))
			requests := append(
				slices.Repeat([]access.Request{about("user", "slow")}, 3), slices.Repeat([]access.Request{about("user", "ann")}, 97)...)
			ctx, cancel := context.WithCancel(t.Context())
			var allowed, late int
			r.CheckEach(ctx, requests, func(i int, answer error) {
				if answer == nil {
					require.GreaterOrEqual(t, i, 3)
					allowed++
					if allowed == 97 {
						cancel() // nobody else is needed
					}
					return
				}
				require.ErrorIs(t, answer, context.Canceled)
				late++
			})
			require.Equal(t, []int{97, 3}, []int{allowed, late})
		})
	})

	t.Run("CallsThatHangLeaveRoomForOthers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, err := access.NewRegistry(nil)
			require.NoError(t, err)
			require.NoError(t, r.Register("user", access.CheckerFunc(func(ctx context.Context, r access.Request) error {
				if r.Principal == "slow" {
					<-ctx.Done()
				}
				return nil
			})))
			requests := append(
				slices.Repeat([]access.Request{about("user", "slow")}, 20), slices.Repeat([]access.Request{about("user", "ann")}, 80)...)

			answers := r.CheckMany(t.Context(), requests)

			require.Equal(t, make([]error, 80), answers[20:])
			require.ErrorIs(t, answers[0], context.DeadlineExceeded)
		})
	})

	t.Run("OneThatEndsItsGoroutineLeavesItsTurnToOthers", func(t *testing.T) {
		t.Parallel()
		r, err := access.NewRegistry(&access.RegistryConfig{Parallel: 1})
		require.NoError(t, err)
		require.NoError(t, r.Register("user", access.CheckerFunc(func(_ context.Context, r access.Request) error {
			if r.Principal == "bad" {
				runtime.Goexit()
			}
			return nil
		})))
		answers := r.CheckMany(t.Context(), []access.Request{about("user", "bad"), about("user", "ann"), about("user", "bad")})
		require.ErrorContains(t, answers[0], "ended its goroutine")
		require.NoError(t, answers[1])
		require.ErrorContains(t, answers[2], "ended its goroutine")
	})

	t.Run("AsksPlainCheckersAFewAtATime", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r, err := access.NewRegistry(&access.RegistryConfig{Parallel: 2, Timeout: time.Second})
			require.NoError(t, err)
			blocking := accesstest.NewBlocking()
			recorder := accesstest.Record(blocking)
			require.NoError(t, r.Register("user", recorder))
			done := make(chan []error)
			go func() { done <- r.CheckMany(t.Context(), slices.Repeat([]access.Request{about("user", "ann")}, 5)) }()
			synctest.Wait()
			require.Len(t, recorder.Requests(), 2)
			blocking.Release()
			require.Equal(t, make([]error, 5), <-done)
		})
	})
}

func TestRequest_CarriesWhatADeletedResourceIsJudgedBy(t *testing.T) {
	t.Parallel()
	r, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, r.Register("user", access.CheckerFunc(func(_ context.Context, r access.Request) error {
		if strings.HasPrefix(string(r.Site), "/noaa/") && r.Attributes["class"] == "public" && string(r.Data) == `{"name":"Ann"}` {
			return nil
		}
		return access.ErrDenied
	})))
	gone := access.Request{
		Principal:  "head",
		Permission: "view",
		Site:       "/noaa/nws/oun",
		EventType:  "user.deleted",
		Resource:   access.Resource{Kind: "user", ID: "42"},
		Attributes: map[string]string{"class": "public"},
		Data:       []byte(`{"name":"Ann"}`),
	}
	require.NoError(t, r.Check(t.Context(), gone))
	gone.Attributes = nil
	require.ErrorIs(t, r.Check(t.Context(), gone), access.ErrDenied)
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }
