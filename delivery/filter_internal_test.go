package delivery

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func filteringEngine() *Engine {
	return &Engine{cfg: &Config{}, filters: newFilters()}
}

func decisionsWith(filters ...string) []decision {
	decisions := make([]decision, len(filters))
	for i, expr := range filters {
		decisions[i] = decision{Outcome: decisionDeliver, Match: subscription.Match{Subscription: subscription.Subscription{Filter: expr}}}
	}
	return decisions
}

// A job that ends takes no decision with it: filters that were not evaluated are
// tried again.
func TestAFilterThatIsInterruptedIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	decisions := decisionsWith("true", "")

	filteringEngine().applyFilters(ctx, nil, dialect.Event{}, decisions)

	require.Equal(t, decisionWaiting, decisions[0].Outcome)
	require.Zero(t, decisions[0].Tries, "it counts for nothing")
	require.Equal(t, decisionDeliver, decisions[1].Outcome)
}

func TestAFilterIsCompiledOnceWhileItIsRemembered(t *testing.T) {
	t.Parallel()
	e := filteringEngine()
	first := e.compiledFilter("true")
	require.Same(t, first, e.compiledFilter("true"))
	require.NoError(t, first.err)
	bad := e.compiledFilter("nonsense(")
	require.Error(t, bad.err)
	require.Same(t, bad, e.compiledFilter("nonsense("))

	// Long filters take much memory: few of them stay.
	long := strings.Repeat(" ", 2000)
	for i := range 3 * keptFilters / len(long) {
		e.applyFilters(t.Context(), nil, dialect.Event{}, decisionsWith(strconv.Itoa(i)+" == 1"+long))
	}
	require.LessOrEqual(t, e.filters.Len(), 2*keptFilters/len(long))
	require.NotSame(t, first, e.compiledFilter("true"))
}
