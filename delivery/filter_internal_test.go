package delivery

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
)

func filteringEngine() *Engine {
	return &Engine{cfg: &Config{}, filters: newGenerations[string, *compiledFilter](2, 0, nil)}
}

func decisionsWith(filters ...string) []decision {
	decisions := make([]decision, len(filters))
	for i, expr := range filters {
		decisions[i] = decision{Outcome: decisionDeliver, Match: hierarchy.Match{Subscription: hierarchy.Subscription{Filter: expr}}}
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

	filteringEngine().applyFilters(ctx, dialect.Event{}, decisions)

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

	for _, expr := range []string{"1 == 1", "2 == 2", "3 == 3", "4 == 4"} {
		e.applyFilters(t.Context(), dialect.Event{}, decisionsWith(expr))
	}
	require.LessOrEqual(t, len(e.filters.young)+len(e.filters.old), 4)
	require.NotSame(t, first, e.compiledFilter("true"))
}
