package send

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/rates"
)

// Preflight checks before a request whether it may go out now, and opens what it needs.
type Preflight struct {
	Access      *decide.Access
	Finder      *decide.Finder
	Log         *slog.Logger
	Opener      *credentials.Opener
	Rates       *rates.Leases
	Rereader    *Rereader
	Schedules   *Schedules
	TroubleWait func(wait time.Duration) time.Duration // see drain.Clock
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
		return p.missing(ctx, in, fmt.Sprintf("no dialect %q in this process", in.Dialect))
	}
	if _, name, ok := p.Schedules.of(in); !ok {
		return p.missing(ctx, in, fmt.Sprintf("no schedule %q in this process", name))
	}
	if tr := p.openSecrets(ctx, in); tr != nil {
		return tr
	}
	if p.Rereader.AccessIsOld(in) {
		return p.authorize(ctx, in)
	}
	return nil
}

// missing postpones a delivery until a process tries it that has what this one lacks.
func (p *Preflight) missing(ctx context.Context, in *Input, reason string) *attempt.Transition {
	p.Log.WarnContext(ctx, "riverhook: delivery waits", "delivery", in.ID, "intent", in.Event.ID, "reason", reason)
	return in.Postpone(p.TroubleWait(attempt.MissingWait), reason)
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
