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

// own takes a lane of the job's own. A shared one that is left is of the reserve by now.
func own(lanes chan Lane) Lane {
	for lane := range lanes {
		if lane.shared.turns == nil {
			return lane
		}
		lanes <- lane
	}
	return Lane{}
}

func TestFanOuts_AJobBeyondItsOwnAttemptsSharesWithOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFanOuts(128) // 96 are shared, of which 12 are a reserve
		large := new(f.Job(loud))
		lanes := entered(large, MaxParallel+86)
		require.Len(t, lanes, MaxParallel+84)

		another := new(f.Job(loud))
		require.Len(t, entered(another, MaxParallel), MaxParallel, "a job has its own whatever others do")
		other := new(f.Job(quiet))
		require.Len(t, entered(other, MaxParallel+6), MaxParallel+6, "another share finds room")

		for range 2 {
			own(lanes).Leave()
			synctest.Wait()
			require.Len(t, lanes, MaxParallel+84, "those that waited follow")
		}
		own(lanes).Leave()
		require.Len(t, lanes, MaxParallel+83)
	})
}

func TestFanOuts_AdmitNoMoreThanTheProcessSendsSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := NewFanOuts(2)
		j := new(f.Job(loud))
		lanes := entered(j, 10)
		require.Equal(t, 2*AdmittedPerRequest-1, f.Admitted())
		for range 10 {
			(<-lanes).Leave()
			synctest.Wait()
		}
		require.Zero(t, f.Admitted())
	})
}
