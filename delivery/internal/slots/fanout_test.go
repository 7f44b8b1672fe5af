package slots

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// entered has so many attempts of a job enter, and returns the lanes of those that could.
func entered(j *Job, attempts int) chan Lane {
	lanes := make(chan Lane, attempts)
	for range attempts {
		go func() { lanes <- j.Enter() }()
	}
	synctest.Wait()
	return lanes
}

func TestFanOuts_AJobBeyondItsOwnAttemptsSharesWithOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFanOuts(100)
		large := new(f.Job())
		lanes := entered(large, MaxParallel+76)
		require.Len(t, lanes, MaxParallel+75)

		another := new(f.Job())
		require.Len(t, entered(another, MaxParallel), MaxParallel, "a job has its own whatever others do")

		large.Leave(<-lanes)
		synctest.Wait()
		require.Len(t, lanes, MaxParallel+75)
	})
}

func TestFanOuts_AdmitNoMoreThanTheProcessSendsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFanOuts(1)
		j := new(f.Job())
		lanes := entered(j, 10)
		require.Equal(t, AdmittedPerRequest, f.Admitted())
		for range 10 {
			j.Leave(<-lanes)
			synctest.Wait()
		}
		require.Zero(t, f.Admitted())
	})
}
