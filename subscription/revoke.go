package subscription

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// revocation is one that was found good.
type revocation struct {
	secret  uuid.UUID
	dialect string    // that signs with what is left
	next    uuid.UUID // the newest that signs then
}

// prepareRevocation refuses to leave a dialect with a secret that it cannot sign with: it
// can have changed since that was the newest. It asks the Sealer; what does not open is
// no reason to keep another.
func (h *Handle) prepareRevocation(ctx context.Context, db store.DBTX, id, secret uuid.UUID) (*revocation, error) {
	sub, err := h.fetch(ctx, db, id)
	if err != nil {
		return nil, err
	}
	rows, err := h.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	r := &revocation{secret: secret, dialect: sub.Dialect}
	next, err := r.left(rows)
	if err != nil {
		return nil, fmt.Errorf("secret %s of subscription %s: %w", secret, id, err)
	}
	r.next = next.ID
	newest := slices.IndexFunc(rows, func(row store.ListSecretsRow) bool { return !row.Pending })
	if rows[newest].ID != secret {
		return r, nil
	}
	opened, err := h.box.Open(ctx, sealed.Secret(next.ID, id), sealed.Value{Bytes: next.Value, Sealed: next.Sealed})
	if err != nil {
		return r, ctx.Err()
	}
	left, err := signing.ReadSecret(string(opened))
	if err == nil {
		err = h.cfg.checkSecret(sub.Dialect, left)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s cannot sign with the one before it: %w", ErrLastSecret, text.Quote(sub.Dialect), err)
	}
	return r, nil
}

// left is the newest that signs when the secret is gone.
func (r *revocation) left(rows []store.ListSecretsRow) (store.ListSecretsRow, error) {
	if !slices.ContainsFunc(rows, func(row store.ListSecretsRow) bool { return row.ID == r.secret }) {
		return store.ListSecretsRow{}, ErrNotFound
	}
	i := slices.IndexFunc(rows, func(row store.ListSecretsRow) bool { return !row.Pending && row.ID != r.secret })
	if i < 0 {
		return store.ListSecretsRow{}, ErrLastSecret
	}
	return rows[i], nil
}

func (h *Handle) revoke(ctx context.Context, tx pgx.Tx, id uuid.UUID, r *revocation) error {
	sub, err := h.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	rows, err := h.listSecrets(ctx, tx, id)
	if err != nil {
		return err
	}
	next, err := r.left(rows)
	switch {
	case err != nil:
		return fmt.Errorf("secret %s of subscription %s: %w", r.secret, id, err)
	case sub.Dialect != r.dialect || next.ID != r.next:
		return errMeanwhile
	}
	return h.in(tx).RevokeSecret(ctx, &store.RevokeSecretParams{ID: r.secret, SubscriptionID: id})
}
