package decide_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

// owned is a match of an owner in a dialect; "" is an operator.
func owned(owner, dialectName string) decide.Match {
	return match(func(s *subscription.Subscription) {
		s.Owner, s.Operator = owner, owner == ""
		s.Dialect = dialectName
	})
}

// A callback that hangs keeps only those waiting who need it, and counts for nothing.
func TestDecide_WhatIsDecidedDoesNotWaitForWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := host{check: func(r access.Request) error {
			if r.Principal == "slow" {
				<-release
			}
			return nil
		}}
		d := decider(t, &h)
		d.Messages.Externalizer = func(name, _, _ string) decide.Externalize {
			if name != "hub" {
				return nil
			}
			return func(context.Context, dialect.Event) ([]byte, error) {
				<-release
				return nil, errors.New("too late")
			}
		}
		in := input(owned("slow", "plain"), owned("", "plain"), owned("ada", "plain"), owned("", "hub"), owned("bob", "standard"))
		in.Patience = 100 * time.Millisecond

		began := time.Now()
		decisions, made := d.Decide(t.Context(), nil, in)

		require.Equal(t, in.Patience, time.Since(began))
		require.Equal(t, []string{
			"waiting: access could not be decided: there is no answer yet",
			"deliver: ",
			"deliver: ",
			"waiting: externalizer: there is no message yet",
			"deliver: ",
		}, outcomes(decisions))
		require.Len(t, made, 2)
		for i, atOnce := range []bool{true, false, false, true, false} {
			require.Equal(t, atOnce, decisions[i].AtOnce)
			require.Zero(t, decisions[i].Tries)
		}
		close(release)
	})
}

// While nothing is decided there is nobody who waits in vain, so that each try makes progress.
func TestDecide_WithoutADecisionHostCodeHasAllItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := host{check: func(access.Request) error {
			<-time.After(time.Second)
			return nil
		}}
		in := input(owned("ada", "plain"), owned("bob", "plain"))
		in.Patience = time.Millisecond

		decisions, _ := decider(t, &h).Decide(t.Context(), nil, in)

		require.Contains(t, outcomes(decisions), "deliver: ")
	})
}

// Questions are answered now or never.
func TestDecide_WithoutPatienceAllIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := host{check: func(access.Request) error {
			<-time.After(time.Second)
			return nil
		}}

		decisions, _ := decider(t, &h).Decide(t.Context(), nil, input(owned("ada", "plain"), owned("", "plain")))

		require.Equal(t, []string{"deliver: ", "deliver: "}, outcomes(decisions))
	})
}
