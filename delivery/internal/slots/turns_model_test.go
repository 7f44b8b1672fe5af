package slots

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// turnsModel is what Turns promises, as plainly as it can be said.
type turnsModel struct {
	slots   int
	reserve int
	have    map[Share]int
	waits   map[Share][]*modelWaiter
	last    map[Share]int // when a share was served last, or began to wait
	now     int
}

type modelWaiter struct {
	share *share
	turn  *waitingTurn
}

func (m *turnsModel) used() (n int) {
	for _, have := range m.have {
		n += have
	}
	return n
}

// fits is true if a share may have one more slot.
func (m *turnsModel) fits(of Share) bool {
	free := m.slots - m.used()
	return free > m.reserve || m.have[of] < free
}

// next is the share whose turn it is, of those that wait.
func (m *turnsModel) next() (next Share, ok bool) {
	for of := range m.waits {
		if len(m.waits[of]) == 0 {
			continue
		}
		if !ok || m.before(of, next) {
			next, ok = of, true
		}
	}
	return next, ok
}

func (m *turnsModel) before(a, b Share) bool {
	if m.have[a] != m.have[b] {
		return m.have[a] < m.have[b]
	}
	if a.Urgent != b.Urgent {
		return a.Urgent
	}
	return m.last[a] < m.last[b]
}

func (m *turnsModel) serve(of Share) {
	m.now++
	m.last[of] = m.now
	m.have[of]++
}

// Shares arrive, answers come in any order, and some give up their wait: each slot goes where
// the model says, no share has its turn before one that has fewer or was served longer ago, no
// slot is lost or given twice, and the reserve is for those that have few.
func TestTurns_FollowTheirModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 24).Draw(t, "slots")
		turns := NewTurns(slots)
		m := &turnsModel{
			slots: slots,
			have:  map[Share]int{},
			waits: map[Share][]*modelWaiter{},
			last:  map[Share]int{},
		}
		if slots > 1 {
			m.reserve = max(slots/8, 1)
		}
		var taken []Slot
		slot := func(s *share) Slot {
			return Slot{
				turns: turns,
				share: s,
				since: time.Now(),
			}
		}
		// served takes what the free slots must have come to.
		served := func() {
			for {
				of, ok := m.next()
				if !ok || !m.fits(of) {
					break
				}
				first := m.waits[of][0]
				require.Len(t, first.turn.given, 1, "the turn of %v", of)
				require.True(t, <-first.turn.given)
				m.waits[of] = m.waits[of][1:]
				m.serve(of)
				taken = append(taken, slot(first.share))
			}
			for of, waits := range m.waits {
				for _, w := range waits {
					require.Empty(t, w.turn.given, "it is not the turn of %v", of)
				}
			}
			require.Equal(t, m.used(), turns.InUse())
			require.LessOrEqual(t, turns.InUse(), slots)
		}
		t.Repeat(map[string]func(*rapid.T){
			"arrives": func(t *rapid.T) {
				of := Share{
					Name:   rapid.SampledFrom([]string{"/a", "/b", "/c", "/d"}).Draw(t, "name"),
					Urgent: rapid.IntRange(0, 4).Draw(t, "urgent") == 0,
				}
				fits := m.fits(of) && len(m.waits[of]) == 0
				s, w := turns.enter(of, true, time.Now())
				require.Equal(t, fits, w == nil)
				if fits {
					m.serve(of)
					taken = append(taken, slot(s))
				} else {
					if len(m.waits[of]) == 0 {
						m.now++
						m.last[of] = m.now
					}
					m.waits[of] = append(m.waits[of], &modelWaiter{s, w})
				}
				served()
			},
			"answers": func(t *rapid.T) {
				if len(taken) == 0 {
					return // nothing is under way
				}
				i := rapid.IntRange(0, len(taken)-1).Draw(t, "slot")
				done := taken[i]
				taken = slices.Delete(taken, i, i+1)
				m.have[done.share.name]--
				done.Leave()
				served()
			},
			"gives up": func(t *rapid.T) {
				var all []*modelWaiter
				for _, name := range []string{"/a", "/b", "/c", "/d"} {
					all = append(all, m.waits[Share{Name: name}]...)
					all = append(all, m.waits[Share{Name: name, Urgent: true}]...)
				}
				if len(all) == 0 {
					return // nobody waits
				}
				w := rapid.SampledFrom(all).Draw(t, "waiter")
				require.True(t, turns.giveUp(w.share, w.turn))
				require.False(t, turns.giveUp(w.share, w.turn), "once")
				of := w.share.name
				m.waits[of] = slices.DeleteFunc(m.waits[of], func(o *modelWaiter) bool { return o == w })
				served()
			},
		})
		for len(taken) > 0 { // whoever still waits is served to the end
			done := taken[0]
			taken = taken[1:]
			m.have[done.share.name]--
			done.Leave()
			served()
		}
		require.Zero(t, turns.InUse())
		require.Zero(t, turns.active)
		_, waits := m.next()
		require.False(t, waits)
		alone := fill(turns, loud)
		require.Len(t, alone, slots-m.reserve, "all slots are back")
	})
}
