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

// The budget of an owner is spent in order, by evaluations that cost the same everywhere.
func TestFilters_ThoseOfOneOwnerHaveABudget(t *testing.T) {
	t.Parallel()
	filters := NewFilters(filter.Opts{})
	filters.PerOwner = 3 * minFilterCost
	decisions := decisionsWith("1 == 1", "2 == 2", "2 == 2", "3 == 3", "4 == 4", "1 == 1", "5 == 5", "6 == 6")
	for i := range decisions {
		decisions[i].Subscription.Owner = "ada"
	}
	decisions[6].Subscription.Owner = "bob"
	decisions[7].Subscription.Owner, decisions[7].Subscription.Operator = "", true

	filters.apply(t.Context(), nil, dialect.Event{}, decisions)

	for i, want := range []Outcome{
		OutcomeDeliver, OutcomeDeliver, OutcomeDeliver, OutcomeDeliver, OutcomeFilterError, OutcomeDeliver, OutcomeDeliver, OutcomeDeliver,
	} {
		require.Equal(t, want, decisions[i].Outcome, i)
	}
	require.Equal(t, "the filter failed: the filters of its owner cost more than 1500 for one event; "+
		"Config.Limits.FilterCostPerOwner allows no more", decisions[4].Reason)
}

// 100 filters of one owner that cost what each may.
func TestFilters_ABudgetBoundsHowManyAreEvaluated(t *testing.T) {
	t.Parallel()
	filters := NewFilters(filter.Opts{})
	filters.PerOwner = 200_000
	const costly = "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, a + b + c < "
	exprs := make([]string, 100)
	for i := range exprs {
		exprs[i] = costly + strconv.Itoa(100+i) + ")))"
	}
	program, err := filter.Compile(exprs[0], nil)
	require.NoError(t, err)
	_, cost, err := program.Evaluate(t.Context(), &filter.Event{})
	require.NoError(t, err)
	_, again, err := program.Evaluate(t.Context(), &filter.Event{})
	require.NoError(t, err)
	require.Equal(t, cost, again)
	decisions := decisionsWith(exprs...)

	filters.apply(t.Context(), nil, dialect.Event{}, decisions)

	evaluated := 0
	for i := range decisions {
		if decisions[i].Outcome == OutcomeDeliver {
			evaluated++
		}
	}
	require.Equal(t, (filters.PerOwner+cost-1)/cost, evaluated)
	require.Less(t, evaluated, 50)
}
