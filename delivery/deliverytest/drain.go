package deliverytest

import (
	"context"
	"errors"
	"time"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/internal/drain"
)

// DrainOpts are the options of Drain.
type DrainOpts struct {
	// Ahead lets so much time pass, as RunAhead does. Default: 0.
	Ahead time.Duration
}

// Drain runs everything that is due, synchronously, and returns when nothing is
// due any more. The engine need not be started. An error of a job fails the test. nil opts
// run what is due now.
//
// It takes whatever is due in the engine's schema: tests that run at the same time
// need a database each, or a schema.
func Drain(ctx context.Context, tb TB, engine *delivery.Engine, opts *DrainOpts) {
	tb.Helper()
	ahead := time.Duration(0)
	if opts != nil {
		ahead = opts.Ahead
	}
	if _, err := RunAhead(ctx, engine, ahead); err != nil {
		tb.Errorf("deliverytest: drain: %v", err)
	}
}

// RunAhead is Engine.RunDue, and lets time pass: retries and all else that waits come due
// in their order, as often as they come due again, such as those of a schedule up to its
// end. Circuits, Retry-After, the age of access checks, windows of failures, the overlap of
// rotated secrets and tokens of endpoints pass with it; what is recorded, sent and signed
// has the time of the clock. Time passes for all that waits in the schema, but not for what
// a job of another engine is busy with. It returns how many jobs it ran, and their errors.
func RunAhead(ctx context.Context, engine *delivery.Engine, ahead time.Duration) (int, error) {
	if ahead < 0 {
		return 0, errors.New("deliverytest: run ahead: time does not go back")
	}
	return engine.RunDue(drain.WithAhead(ctx, ahead))
}
