package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/payload"
)

// dialectTimeout bounds one call of a dialect, which only computes.
const dialectTimeout = 5 * time.Second

// within calls host code. It gives it a deadline, also when it does not look at
// its context: its goroutine may then outlive the call. A panic is an error of
// this call alone, and so is the end of its goroutine.
func within[T any](ctx context.Context, timeout time.Duration, call func(ctx context.Context) (T, error)) (T, error) {
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

// callExternalizer returns data as an intent may have it, or why there is none.
func (e *Engine) callExternalizer(
	ctx context.Context, by *caller, dialectName string, x Externalizer, ev dialect.Event,
) (data []byte, err error) {
	kept := by.call(ctx, stepExternalizer(dialectName), func() {
		data, err = within(ctx, e.cfg.ExternalizeTimeout, func(ctx context.Context) ([]byte, error) { return x.Externalize(ctx, ev) })
	})
	if err := cmp.Or(kept, err); err != nil {
		return nil, err
	}
	if err := e.checkSize("data", len(data)); err != nil {
		return nil, err
	}
	if err := payload.Check(data); err != nil {
		return nil, fmt.Errorf("the data %w", err)
	}
	return data, nil
}

// envelope has a dialect make a message. What it does is not cut off by the end
// of a job: it takes no time.
func envelope(ctx context.Context, by *caller, d dialect.Dialect, ev dialect.Event, data []byte) (msg dialect.Message, err error) {
	kept := by.call(ctx, stepDialect(d.Name()), func() {
		msg, err = within(context.WithoutCancel(ctx), dialectTimeout, func(context.Context) (dialect.Message, error) {
			return d.Envelope(ev, data)
		})
	})
	return msg, cmp.Or(kept, err)
}

// build has a dialect make the request of an attempt.
func (e *Engine) build(ctx context.Context, d dialect.Dialect, t *target, a *attempt) (built dialect.Request, err error) {
	kept := t.By.callLast(ctx, stepDialect(t.Dialect), func() {
		built, err = within(context.WithoutCancel(ctx), dialectTimeout, func(context.Context) (dialect.Request, error) {
			return d.Request(t.Message,
				dialect.Destination{
					URL:     t.Sub.URL,
					Headers: t.headers(),
					Secrets: t.Secrets,
				},
				dialect.Attempt{Number: a.Number, At: a.StartedAt})
		})
	})
	if err = cmp.Or(kept, err); err == nil {
		err = e.checkSize("request", len(built.Body))
	}
	return built, err
}

// checkSize holds a body against Config.MaxRequestBytes.
func (e *Engine) checkSize(what string, size int) error {
	if size <= e.cfg.MaxRequestBytes {
		return nil
	}
	return fmt.Errorf("the %s has %d bytes; Config.MaxRequestBytes allows %d", what, size, e.cfg.MaxRequestBytes)
}

// cleanText makes a text fit for a text column.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
