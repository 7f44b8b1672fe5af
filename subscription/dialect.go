package subscription

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// preparedUpdate is an update that was found good, with what the Sealer was asked for.
type preparedUpdate struct {
	auth     *sealedAuth
	signedBy []uuid.UUID // the secrets that were found good for another dialect
}

// prepareUpdate asks the Sealer: a method that opens a transaction of its own calls it
// before.
func (h *Handle) prepareUpdate(ctx context.Context, db store.DBTX, id uuid.UUID, u Update) (*preparedUpdate, error) {
	auth, err := h.sealAuth(ctx, db, id, u)
	if err != nil || u.Dialect == nil {
		return &preparedUpdate{auth: auth}, err
	}
	signedBy, err := h.checkDialect(ctx, db, id, cmp.Or(*u.Dialect, defaultDialect))
	return &preparedUpdate{auth: auth, signedBy: signedBy}, err
}

// checkDialect refuses another dialect that cannot sign with the secrets that there are:
// its requests would fail, or be refused by the receiver.
func (h *Handle) checkDialect(ctx context.Context, db store.DBTX, id uuid.UUID, dialect string) ([]uuid.UUID, error) {
	sub, err := h.fetch(ctx, db, id)
	if err != nil || sub.Dialect == dialect {
		return nil, err
	}
	rows, err := h.newestSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		opened, err := h.box.Open(ctx, sealed.Secret(row.ID, id), sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", row.ID, err)
		}
		secret, err := signing.ReadSecret(string(opened))
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", row.ID, err)
		}
		if err := h.cfg.checkSecret(dialect, secret); err != nil {
			return nil, &InvalidError{
				Field: "Dialect", Reason: fmt.Sprintf("%s cannot sign with the secret that there is, rotate it first: %v", text.Quote(dialect), err),
			}
		}
	}
	return idsOf(rows), nil
}

// newestSecrets are the newest that signs and the one that waits to, of which requests
// are signed from now on.
func (h *Handle) newestSecrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]store.ListSecretsRow, error) {
	rows, err := h.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	signs := false
	return slices.DeleteFunc(rows, func(row store.ListSecretsRow) bool {
		if row.Pending {
			return false
		}
		old := signs
		signs = true
		return old
	}), nil
}

// stillSignedBy says that no secret has come since they were found good.
func (h *Handle) stillSignedBy(ctx context.Context, db store.DBTX, id uuid.UUID, found []uuid.UUID) error {
	rows, err := h.newestSecrets(ctx, db, id)
	if err == nil && !slices.Equal(idsOf(rows), found) {
		err = errMeanwhile
	}
	return err
}

func idsOf(rows []store.ListSecretsRow) []uuid.UUID {
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}
