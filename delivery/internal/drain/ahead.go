package drain

import (
	"context"
	"time"
)

type aheadKey struct{}

// WithAhead returns a context in which a run lets so much time pass. It is how package
// deliverytest says so to an engine, which offers that to nobody else.
func WithAhead(ctx context.Context, ahead time.Duration) context.Context {
	return context.WithValue(ctx, aheadKey{}, ahead)
}

// AheadOf is how much time a run in the context lets pass; 0 is none.
func AheadOf(ctx context.Context) time.Duration {
	ahead, _ := ctx.Value(aheadKey{}).(time.Duration)
	return ahead
}
