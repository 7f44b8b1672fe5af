package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/riverhook/riverhook/internal/heartbeat"
)

// newHeart makes the heart of an engine, and by it the name of its process: what
// River and heartbeats know the engine by.
func (e *Engine) newHeart() *heartbeat.Heart {
	return heartbeat.New(heartbeat.Config{
		ID:       e.cfg.ID,
		Logger:   e.log,
		Pool:     e.pool,
		Schema:   e.cfg.Schema,
		Subject:  "riverhook",
		UnderWay: e.underWay.ids,
	})
}

// beat says that this engine lives, before it works.
func (e *Engine) beat(ctx context.Context) error {
	if err := e.heart.Start(ctx); err != nil {
		return fmt.Errorf("delivery: %w", err)
	}
	return nil
}

// beatWhileDue says that this engine lives until end is called, where it was not
// started: so others leave it the jobs that it runs. Several may run at once, and the
// last of them removes the heartbeat.
func (e *Engine) beatWhileDue(ctx context.Context) (end func() error, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return func() error { return nil }, nil
	}
	if err := e.beat(ctx); err != nil {
		return nil, err
	}
	beats, stop := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { e.heart.Run(beats) })
	e.dueRuns++
	return func() error {
		stop()
		loop.Wait()
		e.mu.Lock()
		defer e.mu.Unlock()
		e.dueRuns--
		if e.dueRuns > 0 || e.started {
			return nil
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if err := e.heart.Stop(last); err != nil {
			return fmt.Errorf("delivery: run due: %w", err)
		}
		return nil
	}, nil
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
