package credentials

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/sealed"
)

// parseSecret returns the parts of a signing secret as statements return it among
// others: the 16 bytes of its id, a byte that is 1 if it is sealed, and its value.
func parseSecret(row []byte, subscription uuid.UUID) (at sealed.Location, value sealed.Value, err error) {
	const head = 17
	if len(row) < head {
		return at, value, errors.New("the row of a secret is cut off")
	}
	return sealed.Secret(uuid.UUID(row[:head-1]), subscription), sealed.Value{Bytes: row[head:], Sealed: row[head-1] != 0}, nil
}

// RecallSecrets is Secrets for a caller that must not wait for the Sealer. ok is false
// if the Sealer would have to be called, or if Secrets would fail.
func (o *Opener) RecallSecrets(subscription uuid.UUID, stored [][]byte) (secrets []dialect.Secret, ok bool) {
	secrets = make([]dialect.Secret, len(stored))
	for i, row := range stored {
		at, value, err := parseSecret(row, subscription)
		if err != nil {
			return nil, false
		}
		text, ok := o.box.Recall(at, value)
		if !ok {
			return nil, false
		}
		if secrets[i], err = dialect.ReadSecret(string(text)); err != nil {
			return nil, false
		}
	}
	return secrets, true
}

// Secrets opens all secrets that a request is signed with, as they are stored: without one of them a
// receiver that has only that one would refuse the request. It may call the Sealer, so
// the caller must hold no connection.
func (o *Opener) Secrets(ctx context.Context, by *callbacks.Caller, subscription uuid.UUID, stored [][]byte) ([]dialect.Secret, error) {
	secrets := make([]dialect.Secret, len(stored))
	for i, row := range stored {
		at, value, err := parseSecret(row, subscription)
		if err != nil {
			return nil, err
		}
		if secrets[i], err = o.Secret(ctx, by, at, value); err != nil {
			return nil, err
		}
	}
	return secrets, nil
}

// Secret opens one secret. It may call the Sealer, so the caller must hold no connection.
func (o *Opener) Secret(ctx context.Context, by *callbacks.Caller, at sealed.Location, value sealed.Value) (dialect.Secret, error) {
	text, err := o.open(ctx, by, at, value)
	if err != nil {
		return dialect.Secret{}, fmt.Errorf("secret %s: %w", at.ID, err)
	}
	secret, err := dialect.ReadSecret(string(text))
	if err != nil {
		return dialect.Secret{}, fmt.Errorf("secret %s: %w", at.ID, err)
	}
	return secret, nil
}
