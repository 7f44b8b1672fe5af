package deliverytest

import (
	"context"

	"github.com/riverhook/riverhook/delivery"
)

// Drain runs everything that is due, synchronously, and returns when nothing is
// due any more. The engine need not be started. An error of a job fails the test.
//
// With opts.Ahead it also runs what is due only within that time, such as the
// retries of a schedule. nil runs what is due now.
func Drain(ctx context.Context, tb TB, engine *delivery.Engine, opts *delivery.RunDueOpts) {
	tb.Helper()
	if _, err := engine.RunDue(ctx, opts); err != nil {
		tb.Errorf("deliverytest: drain: %v", err)
	}
}
