package turns

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// queueUp lets a job of a share ask for a place, and returns where it says that it has one.
func queueUp(t *testing.T, a *Admission, share string) (in chan struct{}) {
	in = make(chan struct{})
	go func() {
		if a.Enter(t.Context(), share) == nil {
			close(in)
		}
	}()
	synctest.Wait()
	return in
}

func isIn(in chan struct{}) bool {
	select {
	case <-in:
		return true
	default:
		return false
	}
}

func TestAdmission_AShareThatIsAloneHasAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(3)
		for range 3 {
			require.True(t, isIn(queueUp(t, a, "loud")))
		}
		next := queueUp(t, a, "loud")
		require.False(t, isIn(next))

		a.Leave("loud")
		synctest.Wait()

		require.True(t, isIn(next))
	})
}

// Host code of the loud share may hang: the quiet one does not depend on a place of it.
func TestAdmission_AShareWithNothingInWorkNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(2)
		for range 2 {
			queueUp(t, a, "loud")
		}
		waits := queueUp(t, a, "loud")

		first, second := queueUp(t, a, "quiet"), queueUp(t, a, "quiet")

		require.True(t, isIn(first))
		require.False(t, isIn(second))
		a.Leave("quiet")
		synctest.Wait()
		require.True(t, isIn(second))
		require.False(t, isIn(waits))
	})
}

func TestAdmission_TheShareWithTheFewestInWorkIsNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(4)
		for range 4 {
			queueUp(t, a, "loud")
		}
		queueUp(t, a, "quiet")
		loud, quiet := queueUp(t, a, "loud"), queueUp(t, a, "quiet")

		a.Leave("loud")
		synctest.Wait()
		require.False(t, isIn(quiet), "four are in work")
		a.Leave("loud")
		synctest.Wait()

		require.True(t, isIn(quiet))
		require.False(t, isIn(loud))
	})
}

func TestAdmission_WhoGivesUpLeavesNoPlaceTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := NewAdmission(1)
		queueUp(t, a, "a")
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error)
		go func() { gone <- a.Enter(ctx, "a") }()
		synctest.Wait()

		cancel(errors.New("stopped"))

		require.EqualError(t, <-gone, "stopped")
		next := queueUp(t, a, "a")
		a.Leave("a")
		synctest.Wait()
		require.True(t, isIn(next))
		a.Leave("a")
		require.Empty(t, a.lines)
		require.Empty(t, a.waiting)
		require.Zero(t, a.in)
	})
}

// admissionModel is what the jobs of each share do.
type admissionModel struct {
	admission *Admission
	places    int
	in        map[string]int
	waiting   map[string][]chan struct{}
}

// follow moves the jobs that were admitted, at most so many.
func (m *admissionModel) follow(t *rapid.T, most int) {
	for share, queue := range m.waiting {
		for len(queue) > 0 && isIn(queue[0]) {
			queue = queue[1:]
			m.in[share]++
			most--
		}
		m.waiting[share] = queue
	}
	require.GreaterOrEqual(t, most, 0)
	total := 0
	for share := range m.in {
		total += m.in[share]
	}
	require.Equal(t, total, m.admission.in)
	for share, queue := range m.waiting {
		if len(queue) > 0 {
			require.Positive(t, m.in[share], "a share with nothing in work waits: %s", share)
			require.GreaterOrEqual(t, total, m.places, "a place is empty while %s waits", share)
		}
	}
}

func TestAdmission_FollowsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := admissionModel{
			places:  rapid.IntRange(1, 4).Draw(t, "places"),
			in:      map[string]int{},
			waiting: map[string][]chan struct{}{},
		}
		m.admission = NewAdmission(m.places)
		share := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				s := share.Draw(t, "share")
				let := m.admission.enter(s)
				if let == nil {
					m.in[s]++
				} else {
					m.waiting[s] = append(m.waiting[s], let)
				}
				m.follow(t, 0)
			},
			"leave": func(t *rapid.T) {
				s := share.Draw(t, "share")
				if m.in[s] == 0 {
					return // it has nothing in work
				}
				fewest := ""
				m.in[s]--
				for other, queue := range m.waiting {
					if len(queue) > 0 && (fewest == "" || m.in[other] < m.in[fewest]) {
						fewest = other
					}
				}
				before := m.in[fewest]
				m.admission.Leave(s)
				m.follow(t, 1)
				for other, queue := range m.waiting {
					if fewest != "" && len(queue) > 0 && m.admission.in <= m.places {
						require.GreaterOrEqual(t, m.in[other], before, "%s was passed over", other)
					}
				}
			},
			"": func(t *rapid.T) { m.follow(t, 0) },
		})
	})
}
