package delivery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheAgeOfAnAnswerIsRoundedUp(t *testing.T) {
	t.Parallel()
	require.Zero(t, accessAge(decision{}), "nobody was asked")
	require.Positive(t, accessAge(decision{AccessAt: time.Now()}))
	require.GreaterOrEqual(t, accessAge(decision{AccessAt: time.Now().Add(-10 * time.Second)}), int64(10_000))
}
