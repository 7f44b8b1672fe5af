// Package callbacks calls the code that an application plugs in: checkers,
// dialects, externalizers, hooks, a tree of sites, a sealer. A call has a deadline,
// a panic is an error of that call alone, and a call that ends its process again
// and again is given up.
package callbacks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// DialectTimeout bounds one call of a dialect, which only computes.
const DialectTimeout = 5 * time.Second

// Within calls host code with a deadline. If call does not watch its context,
// Within returns at the deadline and the goroutine of call outlives it. A panic is
// an error of this call alone, and so is the end of its goroutine.
func Within[T any](ctx context.Context, timeout time.Duration, call func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("it ended its goroutine")}
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("panic: %v", p)}
			}
			done <- r
		}()
		r.value, r.err = call(ctx)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("no answer within %s: %w", timeout, ctx.Err())
	}
}

// Do is Within for a step of a run. If by did not call host code, the error is that
// of by.Call.
func Do[T any](
	ctx context.Context, by *Caller, in Step, timeout time.Duration, call func(ctx context.Context) (T, error),
) (value T, err error) {
	refused := by.Call(ctx, in, func() { value, err = Within(ctx, timeout, call) })
	return value, cmp.Or(refused, err)
}

// CheckSize returns an error if what host code made is larger than
// Config.Limits.RequestBytes, which is most.
func CheckSize(what string, size, most int) error {
	if size <= most {
		return nil
	}
	return fmt.Errorf("the %s has %d bytes; Config.Limits.RequestBytes allows %d", what, size, most)
}
