package delivery

import (
	"context"
	"errors"
	"log/slog"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
)

// What the history says: whose key is missing is for the log.
const (
	unopenedReason     = "its signing secret cannot be opened in this process"
	unopenedAuthReason = "its credentials, headers or TLS settings cannot be opened in this process"
)

// credentialsOf names what is stored for a subscription as it was read.
func credentialsOf(sub *attempt.Subscription) credentials.Of {
	return credentials.Of{
		SubscriptionID: sub.ID,
		URL:            sub.URL,
		Version:        sub.CredentialsVersion,
	}
}

// secretsAtHand opens the secrets of a target if that needs no call of the Sealer.
func (e *Engine) secretsAtHand(t *target) bool {
	if t.Opened {
		return true
	}
	secrets, ok := e.opener.RecallSecrets(t.Sub.ID, t.Stored)
	if ok {
		t.Secrets, t.Opened = secrets, true
	}
	return ok
}

// openFor opens the secrets of a target. If that fails nothing is sent: another
// process may have the key, or this one soon. An engine that stops meanwhile knows
// nothing of the secret: it leaves the target as it is, and request sends nothing.
func (e *Engine) openFor(ctx context.Context, t *target) *attempt.Transition {
	if e.secretsAtHand(t) {
		return nil
	}
	secrets, err := e.opener.Secrets(ctx, t.By, t.Sub.ID, t.Stored)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case t.notCalled(err) != nil:
		return t.notCalled(err)
	case err != nil:
		e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", t.ID), slog.String("intent", t.Event.ID),
			slog.Any("subscription", t.Sub.ID), slog.String("reason", unopenedReason), slog.String("error", callbacks.Brief(err)))
		return t.Postpone(e.troubleWait(attempt.MissingWait), unopenedReason)
	}
	t.Secrets, t.Opened = secrets, true
	return nil
}

// authFor opens what the requests of a target carry. If that fails nothing is
// sent: another process may have the key, or this one soon; and a subscription that
// was changed since the target was loaded has to be loaded again.
func (e *Engine) authFor(ctx context.Context, t *target) *attempt.Transition {
	var err error
	t.Auth, err = e.opener.Endpoint(ctx, t.By, credentialsOf(&t.Sub))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, credentials.ErrChanged):
		return t.Postpone(attempt.ChangedWait, err.Error())
	case t.notCalled(err) != nil:
		return t.notCalled(err)
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", t.ID), slog.String("intent", t.Event.ID),
		slog.Any("subscription", t.Sub.ID), slog.String("reason", unopenedAuthReason), slog.String("error", callbacks.Brief(err)))
	return t.Postpone(e.troubleWait(attempt.MissingWait), unopenedAuthReason)
}
