package heartbeat

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRuns_AJobRunsUntilItsLastRunHasEnded(t *testing.T) {
	t.Parallel()
	var r Runs
	require.Empty(t, r.Jobs())
	r.Begin(7)
	r.Begin(7)
	r.Begin(8)
	r.End(7)
	require.ElementsMatch(t, []int64{7, 8}, r.Jobs())
	r.End(7)
	require.Equal(t, []int64{8}, r.Jobs())
}
