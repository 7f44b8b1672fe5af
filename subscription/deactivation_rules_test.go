package subscription

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestDeactivationRules_OfItsOwnAreKeptAndGivenUp(t *testing.T) {
	t.Parallel()
	subs, ctx := newSubscriptions(t, pgtest.Pool(t)), t.Context()
	all := &DeactivationRules{
		Attempts:        3,
		Exhausted:       NoRule,
		ExhaustedWindow: time.Hour,
		Failures:        250,
		Unresolvable:    math.MaxInt,
		Warning:         99,
		Window:          1500 * time.Millisecond,
	}
	spec := specAt("/a")
	spec.Deactivation = all
	created, err := subs.Create(ctx, spec)
	require.NoError(t, err)
	require.Equal(t, all, created.Deactivation)
	require.NotSame(t, all, created.Deactivation)

	got, err := subs.Update(ctx, created.ID, Update{Name: new("renamed")})
	require.NoError(t, err)
	require.Equal(t, all, got.Deactivation, "what is not given stays")
	text, err := json.Marshal(got)
	require.NoError(t, err)
	require.Contains(t, string(text), `"failures":250`)
	got, err = subs.Update(ctx, created.ID, Update{Deactivation: &DeactivationRules{}})
	require.NoError(t, err)
	require.Nil(t, got.Deactivation)
	plain, err := subs.Create(ctx, specAt("/a"))
	require.NoError(t, err)
	require.Nil(t, plain.Deactivation)
}

func TestDeactivationRules_ThatAreRefusedNameTheirField(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	for field, rules := range map[string]DeactivationRules{
		"Attempts":        {Attempts: -2},
		"Exhausted":       {Exhausted: -2},
		"ExhaustedWindow": {ExhaustedWindow: -1},
		"Failures":        {Failures: -2},
		"Unresolvable":    {Unresolvable: math.MinInt},
		"Warning":         {Warning: 100},
		"Window":          {Window: time.Microsecond},
	} {
		spec := specAt("/a")
		spec.Deactivation = &rules
		_, err := subs.Create(t.Context(), spec)
		var bad *InvalidError
		require.ErrorAs(t, err, &bad, field)
		require.Equal(t, "Deactivation."+field, bad.Field)
	}
}

func TestDeactivationRules_OneThatIsNotGivenIsThatOfTheBase(t *testing.T) {
	t.Parallel()
	base := DeactivationRules{
		Attempts:        1,
		Exhausted:       2,
		ExhaustedWindow: 3,
		Failures:        4,
		Unresolvable:    5,
		Warning:         6,
		Window:          7,
	}
	require.Equal(t, base, DeactivationRules{}.Over(base))
	own := DeactivationRules{
		Attempts:        -1,
		Exhausted:       20,
		ExhaustedWindow: 30,
		Failures:        -1,
		Unresolvable:    50,
		Warning:         60,
		Window:          70,
	}
	require.Equal(t, own, own.Over(base))
}
