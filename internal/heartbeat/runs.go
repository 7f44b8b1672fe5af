package heartbeat

import (
	"maps"
	"slices"
	"sync"
)

// Runs counts the runs of each River job in one process: two if a job was handed on while
// its first run still lived. The zero Runs counts none; it is safe for concurrent use.
type Runs struct {
	mu   sync.Mutex
	runs map[int64]int
}

// Begin counts a run of a job, which End ends.
func (r *Runs) Begin(job int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = map[int64]int{}
	}
	r.runs[job]++
}

// End ends what Begin began.
func (r *Runs) End(job int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[job]--
	if r.runs[job] == 0 {
		delete(r.runs, job)
	}
}

// Jobs are the ids of the jobs that run, in no order.
func (r *Runs) Jobs() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq(make([]int64, 0, len(r.runs)), maps.Keys(r.runs))
}
