package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/delivery/internal/send"
)

// The fault points, for tests that kill a process there.
const (
	PointExpanded = expand.PointExpanded
	PointLoading  = send.PointLoading
	PointAnswered = send.PointAnswered
	PointRecorded = send.PointRecorded
)

// OnPoint has f called at each fault point. It must be set before Start.
func (e *Engine) OnPoint(f func(point string)) { e.fault = f }

// ReindexBy has River rebuild its indexes by a schedule. It must be set before Start.
func (e *Engine) ReindexBy(s river.PeriodicSchedule) { e.reindexes = s }

// RereadAfter has rows that are older than d read again before a request. It must be
// set before the engine is used.
func (e *Engine) RereadAfter(d time.Duration) { e.rereader.After = d }

// InSlot is how many attempts have a slot of a subscription's endpoint.
func (e *Engine) InSlot(subscription uuid.UUID) int {
	latest, _ := e.limiter.InFlight(subscription)
	return latest
}

// InSlots is InSlot of all the URLs that the subscription has had.
func (e *Engine) InSlots(subscription uuid.UUID) int {
	_, all := e.limiter.InFlight(subscription)
	return all
}

// UnwrittenReturns is of how many runs the engine knows that they came back from host
// code, and the database does not.
func (e *Engine) UnwrittenReturns() int {
	return e.calls.Unrecorded()
}

// Heartbeat is one beat, which a started engine makes by itself now and then.
// It hands on the jobs of the dead at once.
func (e *Engine) Heartbeat(ctx context.Context) error {
	e.heart.HandOnAtOnce()
	return e.heart.Beat(ctx)
}

// HandOnAtOnce gives up the time that an engine leaves to others after its start. It
// must be called before Start.
func HandOnAtOnce(e *Engine) *Engine {
	e.heart.HandOnAtOnce()
	return e
}

// Process is what River and heartbeats know the engine by.
func (e *Engine) Process() string { return e.heart.Process() }

// VerifyDue is one look for endpoints that are due to be verified. It returns how many are.
func (e *Engine) VerifyDue(ctx context.Context, spawn func(func())) (int, error) {
	return e.verifier.VerifyDue(ctx, spawn)
}

// Maintain is what rounds of maintenance come to, which a started engine does by itself.
func (e *Engine) Maintain(ctx context.Context) error {
	return newMaintainer(e, maintain.LostAfter, maintain.Whole).Round(ctx)
}

// SetClock replaces the clock of the process by which ids are made. It must be called
// before the first heartbeat.
func (e *Engine) SetClock(local func() time.Time) { e.heart.SetClock(local) }
