package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	heartbeatInterval = 3 * time.Second

	// engineDeadAfter is how long an engine without a heartbeat is believed to
	// live. What it had under way then goes on elsewhere; the fences make sure
	// that it changes nothing if it lives after all.
	engineDeadAfter = 15 * time.Second

	// stuckAfter is above what a job of ours can take.
	stuckAfter = 30 * time.Minute
)

// beat says that this engine lives.
func (e *Engine) beat(ctx context.Context) error {
	if err := e.store.Beat(ctx, e.cfg.ID); err != nil {
		return fmt.Errorf("delivery: heartbeat: %w", err)
	}
	e.beaten = time.Now()
	return nil
}

// heartbeat says that this engine lives, and hands the jobs that nobody works on
// to the living, whether or not River has a leader.
func (e *Engine) heartbeat(ctx context.Context) error {
	e.mu.Lock()
	err := e.beat(ctx)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	released, err := e.store.ReleaseRunningJobs(ctx, &store.ReleaseRunningJobsParams{
		Engine: e.cfg.ID, UnderWay: e.underWay.ids(), DeadAfterMs: engineDeadAfter.Milliseconds(), StuckAfterMs: stuckAfter.Milliseconds(),
	})
	if err != nil {
		return fmt.Errorf("delivery: release running jobs: %w", err)
	}
	if released > 0 {
		e.log.WarnContext(ctx, "riverhook: took over jobs that nobody worked on", "jobs", released)
	}
	return nil
}

// underWay counts the runs of each River job in this engine: two where a job was
// handed on while its first run still lived.
type underWay struct {
	mu   sync.Mutex
	runs map[int64]int
}

func newUnderWay() *underWay { return &underWay{runs: map[int64]int{}} }

func (u *underWay) begin(id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.runs[id]++
}

func (u *underWay) end(id int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.runs[id]--
	if u.runs[id] == 0 {
		delete(u.runs, id)
	}
}

func (u *underWay) ids() []int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.AppendSeq(make([]int64, 0, len(u.runs)), maps.Keys(u.runs))
}
