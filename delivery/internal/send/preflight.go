package send

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/rates"
)

// Preflight checks before a request whether it may go out now, and opens what it needs.
type Preflight struct {
	Access    *decide.Access
	Finder    *decide.Finder
	Log       *slog.Logger
	Opener    *credentials.Opener
	Rates     *rates.Leases
	Rereader  *Rereader
	Schedules *Schedules
}

// check says what becomes of a delivery that may not be sent now; nil lets it pass.
func (p *Preflight) check(ctx context.Context, in *Input) *attempt.Transition {
	if tr := in.BlockedBy(time.Now()); tr != nil {
		return tr
	}
	if tr := p.Rates.Check(&in.Target); tr != nil {
		return tr
	}
	if _, ok := p.Schedules.Dialects.Get(in.Dialect); !ok {
		cause := attempt.Cause{Kind: attempt.CauseDialect, Name: in.Dialect}
		return p.hold(ctx, in, cause, fmt.Sprintf("no dialect %q in the process that tried", in.Dialect), nil)
	}
	if _, name, ok := p.Schedules.of(in); !ok {
		cause := attempt.Cause{Kind: attempt.CauseSchedule, Name: name}
		return p.hold(ctx, in, cause, fmt.Sprintf("no schedule %q in the process that tried", name), nil)
	}
	if tr := p.openSecrets(ctx, in); tr != nil {
		return tr
	}
	if p.Rereader.AccessIsOld(in) {
		return p.authorize(ctx, in)
	}
	return nil
}

// hold lets a delivery wait for a cause. The error is for the log alone; it can be nil.
func (p *Preflight) hold(ctx context.Context, in *Input, cause attempt.Cause, reason string, err error) *attempt.Transition {
	attrs := []slog.Attr{
		slog.Any("delivery", in.ID), slog.String("intent", in.Event.ID), slog.Any("subscription", in.Sub.ID),
		slog.Any("cause", cause), slog.String("reason", reason),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", callbacks.Brief(err)))
	}
	p.Log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", attrs...)
	return in.HoldForCause(cause, reason)
}

func (p *Preflight) notLoaded(ctx context.Context, in *Input, err error) *attempt.Transition {
	return p.postponed(ctx, in, "its message could not be loaded", err)
}

func (p *Preflight) notRead(ctx context.Context, in *Input, err error) *attempt.Transition {
	return p.postponed(ctx, in, "the delivery could not be read again", err)
}

// postponed lets a delivery wait for a moment after trouble with the database.
func (p *Preflight) postponed(ctx context.Context, in *Input, reason string, err error) *attempt.Transition {
	p.Log.WarnContext(ctx, "riverhook: delivery waits", "delivery", in.ID, "intent", in.Event.ID, "reason", reason, "error", err)
	return in.Postpone(attempt.ChangedWait, reason)
}
