package access_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
)

type manyFunc func(ctx context.Context, as []access.Action) []error

func (manyFunc) Authorize(context.Context, access.Action) error {
	panic("Authorize of a BatchAuthorizer was called")
}

func (f manyFunc) AuthorizeMany(ctx context.Context, as []access.Action) []error { return f(ctx, as) }

func by(principal string, verb access.Verb) access.Action {
	return access.Action{
		Principal:  principal,
		Verb:       verb,
		Site:       "/a",
		Owner:      "ann",
		Permission: "view",
	}
}

// authorize asks about one action.
func authorize(ctx context.Context, auth access.Authorizer, a access.Action) error {
	return access.AuthorizeAll(ctx, auth, []access.Action{a})[0]
}

func TestAuthorizeAll_FailsClosed(t *testing.T) {
	t.Parallel()
	yes := access.AuthorizerFunc(func(context.Context, access.Action) error { return nil })
	down := errors.New("down")

	for name, auth := range map[string]access.Authorizer{
		"no authorizer":     nil,
		"a nil function":    access.AuthorizerFunc(nil),
		"a nil pointer":     (*access.SiteManagers)(nil),
		"a denial":          access.AuthorizerFunc(func(context.Context, access.Action) error { return fmt.Errorf("no: %w", access.ErrDenied) }),
		"unknown principal": access.AuthorizerFunc(func(context.Context, access.Action) error { return access.ErrUnknownPrincipal }),
	} {
		require.ErrorIs(t, authorize(t.Context(), auth, by("ann", access.VerbView)), access.ErrDenied, name)
	}
	require.ErrorIs(t, authorize(t.Context(), yes, by("", access.VerbView)), access.ErrDenied)
	require.NoError(t, authorize(t.Context(), yes, by("ann", access.VerbView)))

	for name, auth := range map[string]access.Authorizer{
		"an error": access.AuthorizerFunc(func(context.Context, access.Action) error { return down }),
		"a panic":  access.AuthorizerFunc(func(context.Context, access.Action) error { panic(access.ErrDenied) }),
		"no end": access.AuthorizerFunc(func(context.Context, access.Action) error {
			runtime.Goexit()
			return nil
		}),
		"no answer":   manyFunc(func(context.Context, []access.Action) []error { return nil }),
		"two answers": manyFunc(func(context.Context, []access.Action) []error { return make([]error, 2) }),
	} {
		err := authorize(t.Context(), auth, by("ann", access.VerbView))
		require.Error(t, err, name)
		require.NotErrorIs(t, err, access.ErrDenied, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, authorize(ctx, yes, by("ann", access.VerbView)), context.Canceled)
}

func TestAuthorizeAll_WaitsFiveSecondsForAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		auth := access.AuthorizerFunc(func(context.Context, access.Action) error {
			<-stuck
			return nil
		})
		start := time.Now()
		require.ErrorIs(t, authorize(t.Context(), auth, by("ann", access.VerbView)), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
	})
}

func TestAuthorizeAll_AsksABatchOnceAndForNobodyNever(t *testing.T) {
	t.Parallel()
	calls := 0
	auth := manyFunc(func(_ context.Context, as []access.Action) []error {
		calls++
		answers := make([]error, len(as))
		for i, a := range as {
			if a.Principal != "ann" {
				answers[i] = access.ErrDenied
			}
		}
		return answers
	})
	answers := access.AuthorizeAll(t.Context(), auth, []access.Action{
		by("", access.VerbView), by("ann", access.VerbView), by("bob", access.VerbView), by("ann", access.VerbDelete),
	})
	require.Equal(t, 1, calls)
	require.ErrorIs(t, answers[0], access.ErrDenied)
	require.NoError(t, answers[1])
	require.ErrorIs(t, answers[2], access.ErrDenied)
	require.NoError(t, answers[3])
	require.Empty(t, access.AuthorizeAll(t.Context(), auth, nil))
	require.Equal(t, 1, calls)
}
