package send

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/seal"
)

// The reasons that are recorded: whose key is missing is for the log.
const (
	signingUnopened  = "its signing secret cannot be opened in the process that tried"
	endpointUnopened = "its credentials, headers or TLS settings cannot be opened in the process that tried"
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
	return p.hold(ctx, in, sealedCause(err, in.Sub.ID), reason, err)
}

// sealedCause is why what is stored sealed of a subscription was not opened: a key is missing,
// the Sealer did not do it, or what is stored is damaged, which concerns the subscription alone.
func sealedCause(err error, subscription uuid.UUID) attempt.Cause {
	failed, asked := errors.AsType[*sealed.OpenError](err)
	switch {
	case asked && failed.Key != "":
		return attempt.Cause{Kind: attempt.CauseKey, Name: failed.Key}
	case asked && !errors.Is(err, seal.ErrDamaged):
		return attempt.Cause{Kind: attempt.CauseSealer}
	default:
		return attempt.Cause{Kind: attempt.CauseSealer, Name: subscription.String()}
	}
}
