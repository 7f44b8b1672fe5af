package send

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
)

// The reasons that are recorded: whose key is missing is for the log.
const (
	signingUnopened  = "its signing secret cannot be opened in this process"
	endpointUnopened = "its credentials, headers or TLS settings cannot be opened in this process"
)

// Preflight checks before a request whether it may go out now, and opens what it needs.
type Preflight struct {
	Access      *decide.Access
	Finder      *decide.Finder
	Loader      *Loader
	Log         *slog.Logger
	Opener      *credentials.Opener
	Schedules   *Schedules
	TroubleWait func(wait time.Duration) time.Duration // see drain.Clock
}

// check says what becomes of a delivery that may not be sent now; nil lets it pass.
func (p *Preflight) check(ctx context.Context, in *Input) *attempt.Transition {
	if tr := in.BlockedBy(time.Now()); tr != nil {
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
	if p.Loader.AccessIsOld(in) {
		return p.authorize(ctx, in)
	}
	return nil
}

// secretsAtHand opens the secrets of an input if that needs no call of the Sealer.
func (p *Preflight) secretsAtHand(in *Input) bool {
	if in.Opened {
		return true
	}
	secrets, ok := p.Opener.RecallSecrets(in.Sub.ID, in.Stored)
	if ok {
		in.Secrets, in.Opened = secrets, true
	}
	return ok
}

// openSecrets opens the secrets of an input. If that fails nothing is sent: another process
// may have the key, or this one soon. An engine that stops meanwhile knows nothing of the
// secret: it leaves the input as it is, and request sends nothing.
func (p *Preflight) openSecrets(ctx context.Context, in *Input) *attempt.Transition {
	if p.secretsAtHand(in) {
		return nil
	}
	secrets, err := p.Opener.Secrets(ctx, in.By, in.Sub.ID, in.Stored)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case in.NotCalled(err) != nil:
		return in.NotCalled(err)
	case err != nil:
		return p.notOpened(ctx, in, signingUnopened, err)
	}
	in.Secrets, in.Opened = secrets, true
	return nil
}

// openEndpoint opens the credentials, headers and TLS settings of an input. If that fails
// nothing is sent: another process may have the key, or this one soon; and if the
// subscription was changed since it was read it has to be read again.
func (p *Preflight) openEndpoint(ctx context.Context, in *Input) *attempt.Transition {
	err := OpenEndpoint(ctx, p.Opener, in)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, credentials.ErrChanged):
		return in.Postpone(attempt.ChangedWait, err.Error())
	case in.NotCalled(err) != nil:
		return in.NotCalled(err)
	}
	return p.notOpened(ctx, in, endpointUnopened, err)
}

// OpenEndpoint opens what the requests to the endpoint of an input carry.
func OpenEndpoint(ctx context.Context, opener *credentials.Opener, in *Input) (err error) {
	in.Auth, err = opener.Endpoint(ctx, in.By, credentials.Of{
		SubscriptionID: in.Sub.ID,
		URL:            in.Sub.URL,
		Version:        in.Sub.CredentialsVersion,
	})
	return err
}

func (p *Preflight) notOpened(ctx context.Context, in *Input, reason string, err error) *attempt.Transition {
	p.Log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", in.ID), slog.String("intent", in.Event.ID),
		slog.Any("subscription", in.Sub.ID), slog.String("reason", reason), slog.String("error", callbacks.Brief(err)))
	return in.Postpone(p.TroubleWait(attempt.MissingWait), reason)
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
