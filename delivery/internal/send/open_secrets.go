package send

import (
	"context"
	"log/slog"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// The reasons that are recorded: whose key is missing is for the log.
const (
	signingUnopened  = "its signing secret cannot be opened in this process"
	endpointUnopened = "its credentials, headers or TLS settings cannot be opened in this process"
)

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

func (p *Preflight) notOpened(ctx context.Context, in *Input, reason string, err error) *attempt.Transition {
	p.Log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", in.ID), slog.String("intent", in.Event.ID),
		slog.Any("subscription", in.Sub.ID), slog.String("reason", reason), slog.String("error", callbacks.Brief(err)))
	return in.Postpone(p.TroubleWait(attempt.MissingWait), reason)
}
