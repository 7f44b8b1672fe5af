package callbacks

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExclusion_ASuspectIsAlone(t *testing.T) {
	t.Parallel()
	var (
		q              exclusion
		wg             sync.WaitGroup
		beside, alone  atomic.Int32
		calls, suspect atomic.Int32
	)
	for range 8 {
		wg.Go(func() {
			for range 500 {
				q.shared(func() {
					beside.Add(1)
					defer beside.Add(-1)
					calls.Add(1)
					runtime.Gosched()
					if alone.Load() != 0 {
						t.Error("a call ran beside a suspect")
					}
				})
			}
		})
		wg.Go(func() {
			for range 50 {
				q.exclusive(func() {
					suspect.Add(1)
					alone.Add(1)
					defer alone.Add(-1)
					for range 10 {
						runtime.Gosched()
						if alone.Load() != 1 || beside.Load() != 0 {
							t.Error("a suspect was not alone")
						}
					}
				})
			}
		})
	}
	wg.Wait()
	require.Equal(t, []int32{4000, 400}, []int32{calls.Load(), suspect.Load()})
}

// Suspects that keep coming leave the others their turn.
func TestExclusion_SuspectsTakeTurnsWithTheOthers(t *testing.T) {
	t.Parallel()
	var (
		q    exclusion
		wg   sync.WaitGroup
		done atomic.Bool
	)
	begun := make(chan struct{})
	var once sync.Once
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				q.exclusive(func() { once.Do(func() { close(begun) }) })
			}
		})
	}
	<-begun

	q.shared(func() { done.Store(true) })

	wg.Wait()
}
