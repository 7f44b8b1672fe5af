package turns

import (
	"slices"
	"sync"
)

// load is what the jobs of one queue do in this process.
type load struct {
	workers int // of River
	places  int // for jobs that were taken by turns

	mu     sync.Mutex
	busy   int // workers that have a job
	peak   int // the most since the last look
	taken  int // jobs that were taken by turns
	shares map[string]int
}

// enough is how many jobs a share may have under way, those of River's workers included, and
// still get others by turns.
const enough = 32

// begin counts a job of a worker. It returns true if the workers are mostly busy since then.
func (l *load) begin(share string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares[share]++
	l.busy++
	l.peak = max(l.peak, l.busy)
	return l.busy == l.half()
}

// half is when workers are mostly busy.
func (l *load) half() int { return (l.workers + 1) / 2 }

// end ends what begin began.
func (l *load) end(share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.leave(share)
}

func (l *load) leave(share string) {
	l.shares[share]--
	if l.shares[share] == 0 {
		delete(l.shares, share)
	}
}

// look says whether the workers were mostly busy since the last look, how many jobs may be
// taken, and which shares have enough. The last half of the places is for shares that have
// nothing under way.
func (l *load) look() (behind bool, room int, sated []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	behind = l.peak >= l.half()
	l.peak = l.busy
	most := enough
	if l.taken >= (l.places+1)/2 {
		most = 1
	}
	sated = []string{}
	for share, n := range l.shares {
		if n >= most {
			sated = append(sated, share)
		}
	}
	slices.Sort(sated)
	return behind, l.places - l.taken, sated
}

// adopt counts a job that was released into this process.
func (l *load) adopt(share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shares[share]++
}

// release ends what adopt began.
func (l *load) release(share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(share)
}

// take counts a job that was taken by a turn.
func (l *load) take(share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	l.shares[share]++
}

// giveBack ends what take began.
func (l *load) giveBack(share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	l.leave(share)
}
