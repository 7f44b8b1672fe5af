package decide_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/subscription"
)

func TestDecision_AccessAgeIsRoundedUp(t *testing.T) {
	t.Parallel()
	require.Zero(t, (&decide.Decision{}).AccessAge(), "nobody was asked")
	require.Positive(t, (&decide.Decision{AccessAt: time.Now()}).AccessAge())
	require.GreaterOrEqual(t, (&decide.Decision{AccessAt: time.Now().Add(-10 * time.Second)}).AccessAge(), int64(10_000))
}

func TestInactiveReason_IsEmptyIfDeliveriesAreMade(t *testing.T) {
	t.Parallel()
	for state, want := range map[subscription.State]string{
		subscription.StateActive:              "",
		subscription.StatePaused:              "",
		subscription.StateDeactivated:         "the subscription is deactivated: why",
		subscription.StatePendingVerification: "the subscription's URL is not verified: why",
	} {
		require.Equal(t, want, decide.InactiveReason(state, "why"), state)
	}
	require.Equal(t, "the subscription is deactivated", decide.InactiveReason(subscription.StateDeactivated, ""))
}
