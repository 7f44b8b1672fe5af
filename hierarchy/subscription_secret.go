package hierarchy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	defaultOverlap = 24 * time.Hour
	maxLiveSecrets = 10
)

// RotateOpts says how a secret takes over from the others.
type RotateOpts struct {
	// Immediate drops the former secrets at once, as after a leak. Receivers that
	// do not have the new one yet refuse requests.
	Immediate bool

	// Overlap is how long requests are still signed with the former secrets as
	// well. Default: 24 h.
	Overlap time.Duration

	// Secret is the new one. "" makes one of 32 random bytes.
	Secret Secret
}

func (o RotateOpts) withDefaults() RotateOpts {
	if o.Overlap == 0 && !o.Immediate {
		o.Overlap = defaultOverlap
	}
	return o
}

func (o RotateOpts) validate() error {
	switch {
	case o.Overlap < 0 || o.Overlap%time.Millisecond != 0:
		return fmt.Errorf("Overlap: is %v; must be positive and whole milliseconds", o.Overlap)
	case o.Overlap > 0 && o.Immediate:
		return errors.New("Overlap: must be 0 with Immediate")
	}
	return nil
}

// RotateSecret gives a subscription a new secret and returns it. Until the
// overlap is over requests carry a signature of each secret, newest first. At
// most 10 are kept; the oldest go first.
func (s *Subscriptions) RotateSecret(ctx context.Context, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	return inTx(ctx, s.pool, "rotate secret", func(tx pgx.Tx) (Secret, error) { return s.rotate(ctx, tx, id, opts) })
}

// RotateSecretTx is RotateSecret in the caller's transaction.
func (s *Subscriptions) RotateSecretTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	secret, err := s.rotate(ctx, tx, id, opts)
	return outcome("rotate secret", secret, err)
}

// Secrets returns the secrets that requests are signed with now, newest first.
// They are for the operator and for the subscription's owner, once.
func (s *Subscriptions) Secrets(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	secrets, err := s.secrets(ctx, s.pool, id)
	return outcome("read secrets", secrets, err)
}

// SecretsTx is Secrets in the caller's transaction.
func (s *Subscriptions) SecretsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) ([]Secret, error) {
	secrets, err := s.secrets(ctx, tx, id)
	return outcome("read secrets", secrets, err)
}

func (s *Subscriptions) rotate(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	var o RotateOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return "", err
	}
	value, err := secretOrNew(o.Secret)
	if err != nil {
		return "", err
	}
	secretID, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	if _, err := s.lock(ctx, tx, id); err != nil {
		return "", err
	}
	err = s.in(tx).RotateSecret(ctx, &store.RotateSecretParams{
		ID: secretID, MaxLive: maxLiveSecrets, OverlapMs: o.Overlap.Milliseconds(), SubscriptionID: id, Value: value,
	})
	return secretOf(value), err
}

// secrets are never none for a subscription that is there.
func (s *Subscriptions) secrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]Secret, error) {
	values, err := s.in(db).ListSecrets(ctx, id)
	if err == nil && len(values) == 0 {
		err = fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	secrets := make([]Secret, len(values))
	for i, value := range values {
		secrets[i] = secretOf(value)
	}
	return secrets, err
}
