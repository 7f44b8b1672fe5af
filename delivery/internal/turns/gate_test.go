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
func queueUp(t *testing.T, g *Gate, share string) (in chan struct{}) {
	in = make(chan struct{})
	go func() {
		if g.Enter(t.Context(), share) == nil {
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

func TestGate_AShareThatIsAloneHasAllPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(3)
		for range 3 {
			require.True(t, isIn(queueUp(t, g, "loud")))
		}
		next := queueUp(t, g, "loud")
		require.False(t, isIn(next))

		g.Leave("loud")
		synctest.Wait()

		require.True(t, isIn(next))
	})
}

// Host code of the loud share may hang: the quiet one does not depend on a place of it.
func TestGate_AShareWithNothingInWorkNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(2)
		for range 2 {
			queueUp(t, g, "loud")
		}
		waits := queueUp(t, g, "loud")

		first, second := queueUp(t, g, "quiet"), queueUp(t, g, "quiet")

		require.True(t, isIn(first))
		require.False(t, isIn(second))
		g.Leave("quiet")
		synctest.Wait()
		require.True(t, isIn(second))
		require.False(t, isIn(waits))
	})
}

func TestGate_TheShareWithTheFewestInWorkIsNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(4)
		for range 4 {
			queueUp(t, g, "loud")
		}
		queueUp(t, g, "quiet")
		loud, quiet := queueUp(t, g, "loud"), queueUp(t, g, "quiet")

		g.Leave("loud")
		synctest.Wait()
		require.False(t, isIn(quiet), "four are in work")
		g.Leave("loud")
		synctest.Wait()

		require.True(t, isIn(quiet))
		require.False(t, isIn(loud))
	})
}

func TestGate_WhoGivesUpLeavesNoPlaceTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1)
		queueUp(t, g, "a")
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := make(chan error)
		go func() { gone <- g.Enter(ctx, "a") }()
		synctest.Wait()

		cancel(errors.New("stopped"))

		require.EqualError(t, <-gone, "stopped")
		next := queueUp(t, g, "a")
		g.Leave("a")
		synctest.Wait()
		require.True(t, isIn(next))
		g.Leave("a")
		require.Empty(t, g.lines)
		require.Empty(t, g.waiting)
		require.Zero(t, g.in)
	})
}

// gateModel is what the jobs of each share do at a gate.
type gateModel struct {
	gate    *Gate
	places  int
	in      map[string]int
	waiting map[string][]chan struct{}
}

// settle moves the jobs that were let in, of which there may be one in most.
func (m *gateModel) settle(t *rapid.T, most int) {
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
	require.Equal(t, total, m.gate.in)
	for share, queue := range m.waiting {
		if len(queue) > 0 {
			require.Positive(t, m.in[share], "a share with nothing in work waits: %s", share)
			require.GreaterOrEqual(t, total, m.places, "a place is empty while %s waits", share)
		}
	}
}

func TestGate_FollowsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := gateModel{
			places:  rapid.IntRange(1, 4).Draw(t, "places"),
			in:      map[string]int{},
			waiting: map[string][]chan struct{}{},
		}
		m.gate = NewGate(m.places)
		share := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				s := share.Draw(t, "share")
				let := m.gate.enter(s)
				if let == nil {
					m.in[s]++
				} else {
					m.waiting[s] = append(m.waiting[s], let)
				}
				m.settle(t, 0)
			},
			"leave": func(t *rapid.T) {
				s := share.Draw(t, "share")
				if m.in[s] == 0 {
					t.Skip()
				}
				fewest := ""
				m.in[s]--
				for other, queue := range m.waiting {
					if len(queue) > 0 && (fewest == "" || m.in[other] < m.in[fewest]) {
						fewest = other
					}
				}
				before := m.in[fewest]
				m.gate.Leave(s)
				m.settle(t, 1)
				for other, queue := range m.waiting {
					if fewest != "" && len(queue) > 0 && m.gate.in <= m.places {
						require.GreaterOrEqual(t, m.in[other], before, "%s was passed over", other)
					}
				}
			},
			"": func(t *rapid.T) { m.settle(t, 0) },
		})
	})
}
