package maintain

import (
	"context"
	"log/slog"
	"time"
)

// Loop runs something again and again in a started engine.
type Loop struct {
	Log    *slog.Logger
	Outage func(error) bool // whether an error is that of an outage, which is logged elsewhere
}

// Every calls run until ctx ends, with interval between two calls, and logs its errors.
func (l *Loop) Every(ctx context.Context, interval time.Duration, run func(context.Context) error) {
	for {
		if err := run(ctx); err != nil && ctx.Err() == nil && !l.Outage(err) {
			l.Log.ErrorContext(ctx, "riverhook: maintenance", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}
