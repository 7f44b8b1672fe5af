package attempt

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumber_CountsManualAttemptsByRounds(t *testing.T) {
	t.Parallel()
	for want, in := range []Target{
		1: {Round: 1},
		2: {Round: 3, Manual: true},
		3: {Round: 1, Attempts: 2},
		4: {Round: 2, Attempts: 4},
	} {
		if want > 0 {
			require.Equal(t, want, in.Number())
		}
	}
}
