package eventtype

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pattern is matched in two ways, by MatchPattern and by looking up all
// patterns of a type, which is what the resolver's statement does.
func FuzzMatchPattern_AgreesWithLookingPatternsUp(f *testing.F) {
	for _, seed := range [][2]string{
		{"**", "user.created"},
		{"user.*", "user.created"},
		{"user.**", "user.role.added"},
		{"*.*", "a.b.c"},
		{"a.*.**", "a.b"},
		{"*", "a"},
		{"a.b.", "a.b"},
		{"**.a", "a.a"},
		{"a..b", "a..b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, eventType string) {
		badPattern, badType := CheckPattern(pattern), CheckType(eventType)
		for _, err := range []error{badPattern, badType} {
			if err != nil {
				require.Less(t, len(err.Error()), 600)
			}
		}
		matches := MatchPattern(pattern, eventType)
		if badType == nil {
			require.NoError(t, CheckPattern(eventType), "a type is a pattern")
			require.True(t, MatchPattern(eventType, eventType))
		}
		if badPattern != nil || badType != nil {
			return
		}
		require.Equal(t, patternModel(pattern).MatchString(eventType), matches)
		require.Equal(t, matches, slices.Contains(Patterns(eventType), pattern))
	})
}
