package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// guarded turns a panic of host code into an error of this call alone.
func guarded[T any](call func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return call()
}

// callExternalizer gives an externalizer its deadline, also when it does not
// look at its context: its goroutine may then outlive the call.
func callExternalizer(ctx context.Context, x Externalizer, ev dialect.Event, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := guarded(func() ([]byte, error) { return x.Externalize(ctx, ev) })
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		if r.err == nil && !json.Valid(r.data) {
			r.err = errors.New("the externalized data is not JSON")
		}
		return r.data, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("no answer within %s: %w", timeout, ctx.Err())
	}
}

// cleanText makes a text fit for a text column.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
