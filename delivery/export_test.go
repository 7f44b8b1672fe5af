package delivery

import "context"

// Classify is classify for tests that need package deliverytest, which imports
// this one.
var Classify = classify

// The fault points, for tests that kill a process there.
const (
	PointExpanded = pointExpanded
	PointAnswered = pointAnswered
	PointRecorded = pointRecorded
)

// OnPoint has f called at each fault point. It must be set before Start.
func (e *Engine) OnPoint(f func(point string)) { e.fault = f }

// Heartbeat is one beat, which a started engine makes by itself now and then.
func (e *Engine) Heartbeat(ctx context.Context) error { return e.heartbeat(ctx) }

// Maintain is one round of maintenance, which a started engine does by itself.
func (e *Engine) Maintain(ctx context.Context) error { return e.maintainOnce(ctx) }
