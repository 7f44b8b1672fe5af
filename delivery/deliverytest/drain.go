package deliverytest

import (
	"context"

	"github.com/riverhook/riverhook/delivery"
)

// Drain runs everything that is due, synchronously, and returns when nothing is
// due any more. The engine need not be started. An error of a job fails the test.
//
// With opts.Ahead so much time passes in between, and all that comes due meanwhile is
// run in its order, such as the retries of a schedule up to its end. nil runs what is
// due now.
//
// It takes whatever is due in the engine's schema: tests that run at the same time
// need a database each, or a schema.
func Drain(ctx context.Context, tb TB, engine *delivery.Engine, opts *delivery.RunDueOpts) {
	tb.Helper()
	if _, err := engine.RunDue(ctx, opts); err != nil {
		tb.Errorf("deliverytest: drain: %v", err)
	}
}
