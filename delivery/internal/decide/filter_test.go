package decide

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/subscription"
)

func decisionsWith(filters ...string) []Decision {
	decisions := make([]Decision, len(filters))
	for i, expr := range filters {
		decisions[i] = Decision{Outcome: OutcomeDeliver, Match: Match{Subscription: subscription.Subscription{Filter: expr}}}
	}
	return decisions
}

// A job that ends takes no decision with it: filters that were not evaluated are
// tried again.
func TestFilters_OneThatIsInterruptedIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	decisions := decisionsWith("true", "")

	NewFilters(filter.Opts{}).apply(ctx, nil, dialect.Event{}, decisions)

	require.Equal(t, OutcomeWaiting, decisions[0].Outcome)
	require.Zero(t, decisions[0].Tries, "it counts for nothing")
	require.Equal(t, OutcomeDeliver, decisions[1].Outcome)
}

func TestFilters_OneIsCompiledOnceWhileItIsCached(t *testing.T) {
	t.Parallel()
	filters := NewFilters(filter.Opts{})
	first := filters.compile("true")
	require.Same(t, first, filters.compile("true"))
	require.NoError(t, first.err)
	bad := filters.compile("nonsense(")
	require.Error(t, bad.err)
	require.Same(t, bad, filters.compile("nonsense("))

	// Long filters take much memory: few of them stay.
	long := strings.Repeat(" ", 2000)
	for i := range 3 * cachedFilterBytes / len(long) {
		filters.apply(t.Context(), nil, dialect.Event{}, decisionsWith(strconv.Itoa(i)+" == 1"+long))
	}
	require.LessOrEqual(t, filters.cache.Len(), 2*cachedFilterBytes/len(long))
	require.NotSame(t, first, filters.compile("true"))
}
