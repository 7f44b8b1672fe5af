package maintain

import (
	"context"
	"log/slog"
	"time"
)

// Loop runs something again and again in a started engine.
type Loop struct {
	Log    *slog.Logger
	Outage func(context.Context, error) bool // whether an error is that of an outage, which is logged elsewhere
}

// Report logs an error, if that is worth it. The error can be nil.
func (l *Loop) Report(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !l.Outage(ctx, err) {
		l.Log.ErrorContext(ctx, "riverhook: maintenance", "error", err)
	}
}

// Every calls run until ctx ends, with interval between two calls, and logs its errors.
func (l *Loop) Every(ctx context.Context, interval time.Duration, run func(context.Context) error) {
	for {
		l.Report(ctx, run(ctx))
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}
