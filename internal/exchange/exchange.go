// Package exchange has what a client of package egress and the engine tell each other about
// the requests of a context: [With] and [AskBeforeRepeats].
package exchange

import "context"

// Exchange is what a client reports of the requests of a context, besides their
// answers and errors. It may be read when no request of the context is under way.
type Exchange struct {
	// Repeats counts how often a request was sent again because it was certainly
	// not processed.
	Repeats int

	// Unanswered is true if the last request failed after some of it was written
	// and before a byte of its answer was read: nobody knows whether it was
	// processed.
	Unanswered bool
}

type exchangeKey struct{}

type repeatKey struct{}

// With returns a context whose requests are reported in x. They must be made one
// after another.
func With(ctx context.Context, x *Exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// Of returns what the requests of a context are reported in, never nil.
func Of(ctx context.Context) *Exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*Exchange); ok {
		return x
	}
	return &Exchange{}
}

// AskBeforeRepeats returns a context whose requests are sent again only if may
// returns true. It is called right before each repeat, by the goroutine that makes
// the request.
func AskBeforeRepeats(ctx context.Context, may func() bool) context.Context {
	return context.WithValue(ctx, repeatKey{}, may)
}

// MayRepeat says whether a request of the context may be sent again now.
func MayRepeat(ctx context.Context) bool {
	may, ok := ctx.Value(repeatKey{}).(func() bool)
	return !ok || may()
}
