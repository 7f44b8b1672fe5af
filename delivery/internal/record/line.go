package record

import (
	"context"
	"log/slog"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// Log writes the one line of an attempt, or of a delivery that waits or ends without one.
// moved is what Record returns.
func (r *Recorder) Log(ctx context.Context, tr *attempt.Transition, moved bool) {
	if !r.cfg.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	t, a := tr.Target, tr.Attempt
	attrs := []slog.Attr{
		slog.String("intent", t.Event.ID), slog.String("type", t.Event.Type), slog.Any("delivery", t.ID),
		slog.Any("subscription", t.Sub.ID), slog.String("state", string(tr.State)),
	}
	if a != nil {
		attrs = append(attrs, slog.Int("attempt", a.Number), slog.Bool("manual", a.Manual), slog.String("outcome", string(a.Outcome)),
			slog.Int("status", a.Status), slog.String("error", a.Error), slog.Duration("took", a.Duration))
	}
	if a != nil && a.Repeats > 0 {
		attrs = append(attrs, slog.Int("repeats", a.Repeats))
	}
	if a != nil && a.Reason != "" {
		attrs = append(attrs, slog.String("detail", a.Reason))
	}
	if tr.Hold != "" {
		attrs = append(attrs, slog.String("hold", string(tr.Hold)))
	}
	if tr.Cause != (attempt.Cause{}) {
		attrs = append(attrs, slog.Any("cause", tr.Cause))
	}
	if tr.Reason != "" {
		attrs = append(attrs, slog.String("reason", tr.Reason))
	}
	if tr.Again {
		attrs = append(attrs, slog.Duration("next", tr.Wait))
	}
	if !moved {
		attrs = append(attrs, slog.Bool("superseded", true))
	}
	if a != nil {
		r.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "riverhook: attempt", attrs...)
		return
	}
	r.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "riverhook: delivery waits or ends", attrs...)
}
