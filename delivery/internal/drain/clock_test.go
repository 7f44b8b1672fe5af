package drain

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClock_WaitsLongerTheFurtherARunIsAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		started := time.Now()
		require.Equal(t, time.Second, c.TroubleWait(time.Second))

		c.begin(10 * time.Hour)
		c.pass(4 * time.Hour)
		require.Equal(t, started.Add(4*time.Hour), c.Now())
		require.Equal(t, time.Hour, c.TroubleWait(time.Second))
		c.pass(6*time.Hour - time.Minute)
		require.Equal(t, time.Minute, c.TroubleWait(time.Second), "not after the end of the run")
		c.begin(0)
		require.Equal(t, time.Second, c.TroubleWait(time.Second))
		require.Equal(t, started.Add(10*time.Hour-time.Minute), c.Now(), "what has passed has passed")
	})
}
