package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

const defaultOverlap = 24 * time.Hour

// RotateOpts says how a secret takes over from the others.
type RotateOpts struct {
	// Confirm lets the new secret wait until the receiver is known to have it:
	// nothing is signed with it before delivery.Engine.ConfirmSecret has sent a
	// ping that only the new secret signs and got a 2xx, or before
	// Store.ConfirmSecret was called. The overlap begins then. Another
	// rotation replaces a secret that waits. Default: it signs at once.
	Confirm bool

	// Immediate drops the former secrets at once, as after a leak. Receivers that
	// do not have the new one yet refuse requests.
	Immediate bool

	// Overlap is how long requests are still signed with the former secrets as
	// well. Default: 24 h.
	Overlap time.Duration

	// Secret is the new one, of those that the subscription's dialect can sign with. The
	// zero value makes one of 32 random bytes.
	Secret Secret

	// SecretKind is how the new one signs. Default: as Secret, or else as the
	// newest that there is.
	SecretKind SecretKind
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
	case o.Confirm && o.Immediate:
		return errors.New("Confirm: cannot be with Immediate, which leaves nothing to sign with meanwhile")
	}
	return nil
}

// RotateSecret gives a subscription a new secret and returns it, which nothing
// but Secrets does again. Until the overlap is over requests carry a signature of
// each secret, newest first. At most 10 are kept; the oldest go first.
func (s *Store) RotateSecret(ctx context.Context, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	const action = "rotate secret"
	for range s.scope.Tries(maxAsked) {
		r, err := s.prepareRotation(ctx, s.db(), id, opts)
		if err != nil {
			return Secret{}, failed(action, err)
		}
		secret, err := run(ctx, s, action, func(tx pgx.Tx) (Secret, error) { return s.rotate(ctx, tx, id, r) })
		if !errors.Is(err, errMeanwhile) {
			return secret, err
		}
	}
	return Secret{}, failed(action, errMeanwhile)
}

// ConfirmSecret lets a secret that waits for its confirmation sign from now on, by
// its id of ListSecrets: the receiver is known to have it. The overlap of the
// others begins. It is [ErrNotFound] when that secret does not wait any more.
func (s *Store) ConfirmSecret(ctx context.Context, id, secret uuid.UUID) error {
	return s.change(ctx, "confirm secret", func(tx pgx.Tx) error { return s.confirm(ctx, tx, id, secret) })
}

// rotation is one that was found good, with its secret sealed.
type rotation struct {
	*sealedSecret

	dialect string // that it was found good for
	opts    RotateOpts
}

func (s *Store) prepareRotation(ctx context.Context, db store.DBTX, id uuid.UUID, opts *RotateOpts) (*rotation, error) {
	var o RotateOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	sub, err := s.fetch(ctx, db, id)
	if err != nil {
		return nil, err
	}
	rows, err := s.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	if o.Secret.IsZero() && o.SecretKind == "" {
		o.SecretKind = kindOf(rows[0].PublicKey)
	}
	secret, err := s.cfg.secretOrNew(sub.Dialect, o.Secret, o.SecretKind)
	if err != nil {
		return nil, err
	}
	made, err := s.seal(ctx, id, secret)
	return &rotation{
		sealedSecret: made,
		dialect:      sub.Dialect,
		opts:         o,
	}, err
}

func (s *Store) rotate(ctx context.Context, tx pgx.Tx, id uuid.UUID, r *rotation) (Secret, error) {
	sub, err := s.lock(ctx, tx, id)
	switch {
	case err != nil:
		return Secret{}, err
	case sub.Dialect != r.dialect:
		return Secret{}, errMeanwhile
	}
	if r.opts.Confirm {
		return r.secret, s.in(tx).AddPendingSecret(ctx, &store.AddPendingSecretParams{
			ID:             r.id,
			OverlapMs:      r.opts.Overlap.Milliseconds(),
			PublicKey:      r.secret.PublicKey().String(),
			Sealed:         r.value.Sealed,
			SubscriptionID: id,
			Value:          r.value.Bytes,
		})
	}
	return r.secret, s.in(tx).RotateSecret(ctx, &store.RotateSecretParams{
		ID:             r.id,
		MaxLive:        maxLiveSecrets,
		OverlapMs:      r.opts.Overlap.Milliseconds(),
		PublicKey:      r.secret.PublicKey().String(),
		Sealed:         r.value.Sealed,
		SubscriptionID: id,
		Value:          r.value.Bytes,
	})
}

func (s *Store) confirm(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	if _, err := s.lock(ctx, tx, id); err != nil {
		return err
	}
	n, err := s.in(tx).ConfirmSecret(ctx, &store.ConfirmSecretParams{
		ID:             secret,
		MaxLive:        maxLiveSecrets,
		SubscriptionID: id,
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("secret %s of subscription %s, waiting to be confirmed: %w", secret, id, ErrNotFound)
	}
	return err
}
