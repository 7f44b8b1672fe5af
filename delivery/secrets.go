package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/sealed"
)

// unopenedReason is what the history says: whose key is missing is for the log.
const unopenedReason = "its signing secret cannot be opened in this process"

// storedSecret is a signing secret as statements return it among others: 16 bytes
// of its id, one that says whether it is sealed, and its value.
type storedSecret []byte

func (s storedSecret) parts(subscription uuid.UUID) (at sealed.Place, value sealed.Value, err error) {
	const head = 17
	if len(s) < head {
		return at, value, errors.New("the row of a secret is cut off")
	}
	return sealed.Secret(uuid.UUID(s[:head-1]), subscription), sealed.Value{Bytes: s[head:], Sealed: s[head-1] != 0}, nil
}

func storedSecrets(rows [][]byte) []storedSecret {
	stored := make([]storedSecret, len(rows))
	for i, row := range rows {
		stored[i] = row
	}
	return stored
}

// secretsAtHand opens the secrets of a target, where it can without asking the
// Sealer.
func (e *Engine) secretsAtHand(t *target) bool {
	if t.Opened {
		return true
	}
	secrets := make([]dialect.Secret, len(t.Stored))
	for i, stored := range t.Stored {
		at, value, err := stored.parts(t.Sub.ID)
		if err != nil {
			return false
		}
		text, ok := e.box.Recall(at, value)
		if !ok {
			return false
		}
		if secrets[i], err = dialect.ReadSecret(string(text)); err != nil {
			return false
		}
	}
	t.Secrets, t.Opened = secrets, true
	return true
}

// openSecrets opens the secrets that a request is to be signed with. All of them:
// with one missing a receiver that has only that one would refuse the request. It
// asks the Sealer, so no connection may be held.
func (e *Engine) openSecrets(ctx context.Context, t *target) ([]dialect.Secret, error) {
	secrets := make([]dialect.Secret, len(t.Stored))
	for i, stored := range t.Stored {
		at, value, err := stored.parts(t.Sub.ID)
		if err != nil {
			return nil, err
		}
		if secrets[i], err = e.openSecret(ctx, t.By, at, value); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

func (e *Engine) openSecret(ctx context.Context, by *callbacks.Caller, at sealed.Place, value sealed.Value) (dialect.Secret, error) {
	text, err := e.open(ctx, by, at, value)
	if err != nil {
		return dialect.Secret{}, fmt.Errorf("secret %s: %w", at.ID, err)
	}
	secret, err := dialect.ReadSecret(string(text))
	if err != nil {
		return dialect.Secret{}, fmt.Errorf("secret %s: %w", at.ID, err)
	}
	return secret, nil
}

// open asks the Sealer, where it does not remember.
func (e *Engine) open(ctx context.Context, by *callbacks.Caller, at sealed.Place, value sealed.Value) (text []byte, err error) {
	if text, ok := e.box.Recall(at, value); ok {
		return text, nil
	}
	kept := by.Call(ctx, callbacks.StepSealer, func() { text, err = e.box.Open(ctx, at, value) })
	return text, cmp.Or(kept, err)
}

// openFor opens the secrets of a target. Where that fails nothing is sent: another
// process may have the key, or this one soon. An engine that stops meanwhile knows
// nothing of the secret: it leaves the target as it is, and request sends nothing.
func (e *Engine) openFor(ctx context.Context, t *target) *transition {
	if e.secretsAtHand(t) {
		return nil
	}
	secrets, err := e.openSecrets(ctx, t)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case t.notCalled(err) != nil:
		return t.notCalled(err)
	case err != nil:
		e.log.LogAttrs(ctx, slog.LevelWarn, "riverhook: delivery waits", slog.Any("delivery", t.ID), slog.String("intent", t.Event.ID),
			slog.Any("subscription", t.Sub.ID), slog.String("reason", unopenedReason), slog.String("error", callbacks.Brief(err)))
		return t.postpone(e.troubleWait(wiringWait), unopenedReason)
	}
	t.Secrets, t.Opened = secrets, true
	return nil
}
