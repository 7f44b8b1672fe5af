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

// rotation is one that was found good, with its secret sealed.
type rotation struct {
	*sealedSecret

	dialect string // that it was found good for
	opts    RotateOpts
}

func (h *Handle) prepareRotation(ctx context.Context, db store.DBTX, id uuid.UUID, opts *RotateOpts) (*rotation, error) {
	var o RotateOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	sub, err := h.fetch(ctx, db, id)
	if err != nil {
		return nil, err
	}
	rows, err := h.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	if o.Secret.IsZero() && o.SecretKind == "" {
		o.SecretKind = kindOf(rows[0].PublicKey)
	}
	secret, err := h.cfg.secretOrNew(sub.Dialect, o.Secret, o.SecretKind)
	if err != nil {
		return nil, err
	}
	made, err := h.seal(ctx, id, secret)
	return &rotation{
		sealedSecret: made,
		dialect:      sub.Dialect,
		opts:         o,
	}, err
}

func (h *Handle) rotate(ctx context.Context, tx pgx.Tx, id uuid.UUID, r *rotation) (Secret, error) {
	sub, err := h.lock(ctx, tx, id)
	switch {
	case err != nil:
		return Secret{}, err
	case sub.Dialect != r.dialect:
		return Secret{}, errMeanwhile
	}
	if r.opts.Confirm {
		return r.secret, h.in(tx).AddPendingSecret(ctx, &store.AddPendingSecretParams{
			ID:             r.id,
			OverlapMs:      r.opts.Overlap.Milliseconds(),
			PublicKey:      r.secret.PublicKey().String(),
			Sealed:         r.value.Sealed,
			SubscriptionID: id,
			Value:          r.value.Bytes,
		})
	}
	return r.secret, h.in(tx).RotateSecret(ctx, &store.RotateSecretParams{
		ID:             r.id,
		MaxLive:        maxLiveSecrets,
		OverlapMs:      r.opts.Overlap.Milliseconds(),
		PublicKey:      r.secret.PublicKey().String(),
		Sealed:         r.value.Sealed,
		SubscriptionID: id,
		Value:          r.value.Bytes,
	})
}

func (h *Handle) confirm(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	if _, err := h.lock(ctx, tx, id); err != nil {
		return err
	}
	n, err := h.in(tx).ConfirmSecret(ctx, &store.ConfirmSecretParams{
		ID:             secret,
		MaxLive:        maxLiveSecrets,
		SubscriptionID: id,
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("secret %s of subscription %s, waiting to be confirmed: %w", secret, id, ErrNotFound)
	}
	return err
}
