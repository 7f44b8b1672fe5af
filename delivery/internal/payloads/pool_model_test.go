package payloads

import (
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// poolModel is what a Pool promises, as plainly as it can be said.
type poolModel struct {
	bytes int
	held  []*modelJob
	waits []*modelJob // in the order in which they came
	turn  map[modelShare]int
	now   int
}

type modelShare struct {
	name   string
	urgent bool
}

// modelJob is a job that holds or waits for bytes.
type modelJob struct {
	share   modelShare
	need    int
	reserve bool
	waiter  *waiter
	got     *Held
}

func (m *poolModel) sum(which func(*modelJob) bool) (n int) {
	for _, j := range m.held {
		if which(j) {
			n += j.need
		}
	}
	return n
}

func (m *poolModel) taken() int   { return m.sum(func(*modelJob) bool { return true }) }
func (m *poolModel) reserve() int { return m.sum(func(j *modelJob) bool { return j.reserve }) }
func (m *poolModel) holds(s modelShare) int {
	return m.sum(func(j *modelJob) bool { return j.share == s })
}

// fits is true of a job that may have its bytes when it is its turn: an eighth of them is the
// reserve, an eighth is for what is urgent.
func (m *poolModel) fits(j *modelJob) bool {
	if j.share.urgent {
		return m.taken() == 0 || m.taken()+j.need <= m.bytes
	}
	ordered := m.taken() - m.reserve()
	return ordered == 0 || ordered+j.need <= m.bytes*6/8
}

// passes is true of a job that need not wait for its turn.
func (m *poolModel) passes(j *modelJob) bool {
	return !j.share.urgent && m.holds(j.share)+j.need <= m.bytes/8-m.reserve()-j.need && m.taken()+j.need <= m.bytes*7/8
}

// next is the first of the share whose turn it is, of those for which may is true.
func (m *poolModel) next(may func(*modelJob) bool) (next *modelJob) {
	for _, j := range m.waits {
		if may(j) && (next == nil || m.before(j.share, next.share)) {
			next = j
		}
	}
	return next
}

func (m *poolModel) before(a, b modelShare) bool {
	if m.holds(a) != m.holds(b) {
		return m.holds(a) < m.holds(b)
	}
	return m.turn[a] < m.turn[b]
}

func (m *poolModel) takeTurn(s modelShare) {
	m.now++
	m.turn[s] = m.now
}

// pick is who is served now, if anybody is.
func (m *poolModel) pick() *modelJob {
	if j := m.next(func(j *modelJob) bool { return j.share.urgent }); j != nil {
		if m.fits(j) {
			return j
		}
		return nil
	}
	usual := m.next(func(*modelJob) bool { return true })
	if usual == nil || m.fits(usual) {
		return usual
	}
	passes := m.next(m.passes)
	if passes != nil {
		passes.reserve = true
	}
	return passes
}

func (m *poolModel) waitsFor(s modelShare) bool {
	return slices.ContainsFunc(m.waits, func(j *modelJob) bool { return j.share == s })
}

// served takes what must have been given by now, and nothing else may have been.
func (m *poolModel) served(t require.TestingT, pool *Pool) {
	for j := m.pick(); j != nil; j = m.pick() {
		require.Len(t, j.waiter.granted, 1, "the turn of %v", j.share)
		j.got = <-j.waiter.granted
		require.Equal(t, j.reserve, j.got.of.reserve)
		m.waits = slices.DeleteFunc(m.waits, func(o *modelJob) bool { return o == j })
		m.held = append(m.held, j)
		m.takeTurn(j.share)
	}
	for _, j := range m.waits {
		require.Empty(t, j.waiter.granted, "it is not the turn of %v", j.share)
	}
	require.Equal(t, m.taken(), pool.Taken())
	if m.taken() > m.bytes { // of one that is larger than all that is given in order
		most := 0
		for _, j := range m.held {
			most = max(most, j.need)
		}
		require.Greater(t, most, m.bytes*6/8)
	}
}

func (m *poolModel) release(t require.TestingT, pool *Pool, i int) {
	j := m.held[i]
	m.held = slices.Delete(m.held, i, i+1)
	j.got.Release()
	m.served(t, pool)
}

// Jobs of several shares come, end in any order, and some give up: bytes go where the model
// says, a share that holds few is not delayed by one that holds many, whatever is next gets what
// is given back however much it needs, and at the end nothing is lost and nobody waits.
func TestPool_FollowsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const bytes = 64 * (Inline + 1)
		pool := New(Config{Bytes: bytes})
		defer pool.Close()
		m := &poolModel{bytes: bytes, turn: map[modelShare]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"arrives": func(t *rapid.T) {
				j := &modelJob{
					share: modelShare{
						name:   rapid.SampledFrom([]string{"/a", "/b", "/c", "/d"}).Draw(t, "name"),
						urgent: rapid.IntRange(0, 6).Draw(t, "urgent") == 0,
					},
					need: (Inline + 1) * rapid.SampledFrom([]int{1, 1, 2, 3, 10, 30, 60, 100}).Draw(t, "need"),
				}
				if !m.waitsFor(j.share) {
					m.takeTurn(j.share)
				}
				m.waits = append(m.waits, j)
				j.waiter = pool.enter(Want{
					IntentID: uuid.New(),
					Share:    j.share.name,
					Made:     j.need,
					Urgent:   j.share.urgent,
				})
				m.served(t, pool)
			},
			"tries": func(t *rapid.T) {
				w := Want{
					IntentID: uuid.New(),
					Share:    rapid.SampledFrom([]string{"/a", "/b", "/c"}).Draw(t, "name"),
					Made:     (Inline + 1) * rapid.SampledFrom([]int{1, 5, 30}).Draw(t, "need"),
				}
				j := &modelJob{share: modelShare{name: w.Share}, need: w.Made}
				held, ok := pool.Try(w)
				first := m.next(func(*modelJob) bool { return true })
				urgent := slices.ContainsFunc(m.waits, func(o *modelJob) bool { return o.share.urgent })
				j.reserve = first != nil || !m.fits(j)
				require.Equal(t, !urgent && (!j.reserve || m.passes(j)), ok)
				if ok {
					require.Equal(t, j.reserve, held.of.reserve)
					j.got = held
					m.held = append(m.held, j)
					m.takeTurn(j.share)
				}
				m.served(t, pool)
			},
			"ends": func(t *rapid.T) {
				if len(m.held) > 0 {
					m.release(t, pool, rapid.IntRange(0, len(m.held)-1).Draw(t, "job"))
				}
			},
			"gives up": func(t *rapid.T) {
				if len(m.waits) == 0 {
					return // nobody waits
				}
				j := rapid.SampledFrom(m.waits).Draw(t, "job")
				require.Nil(t, pool.giveUp(j.waiter))
				m.waits = slices.DeleteFunc(m.waits, func(o *modelJob) bool { return o == j })
				m.served(t, pool)
			},
		})
		for len(m.held) > 0 {
			m.release(t, pool, 0)
		}
		require.Empty(t, m.waits)
		require.Zero(t, pool.reserve)
		require.Empty(t, pool.waiting.known)
		require.Empty(t, pool.urgent.known)
	})
}
