package delivery

import (
	"context"
	"fmt"
	"time"
)

const (
	heartbeatInterval = 3 * time.Second

	// engineDeadAfter is how long an engine without a heartbeat is believed to
	// live. What it had under way then goes on elsewhere; the fences make sure
	// that it changes nothing if it lives after all.
	engineDeadAfter = 15 * time.Second
)

// beat says that this engine lives.
func (e *Engine) beat(ctx context.Context) error {
	if err := e.store.Beat(ctx, e.cfg.ID); err != nil {
		return fmt.Errorf("delivery: heartbeat: %w", err)
	}
	e.beaten = time.Now()
	return nil
}

// heartbeat says that this engine lives, and hands the jobs of engines that do
// not to the living, whether or not River has a leader.
func (e *Engine) heartbeat(ctx context.Context) error {
	e.mu.Lock()
	err := e.beat(ctx)
	e.mu.Unlock()
	if err != nil {
		return err
	}
	released, err := e.store.ReleaseDeadEngines(ctx, engineDeadAfter.Milliseconds())
	if err != nil {
		return fmt.Errorf("delivery: release dead engines: %w", err)
	}
	if released > 0 {
		e.log.WarnContext(ctx, "riverhook: took over the jobs of an engine that died", "jobs", released)
	}
	return nil
}
