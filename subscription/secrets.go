package subscription

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/internal/store"
)

const maxLiveSecrets = 10

// SecretInfo is what there is to know of a secret without opening it.
type SecretInfo struct {
	ID        uuid.UUID  `json:"id"`         // a version 7 UUID
	Kind      SecretKind `json:"kind"`       // how it signs
	PublicKey string     `json:"public_key"` // "whpk_...", for the receiver, of an Ed25519 one; else ""
	Pending   bool       `json:"pending"`    // signs nothing before it is confirmed, see RotateOpts.Confirm
	Sealed    bool       `json:"sealed"`     // is not stored in clear
	CreatedAt time.Time  `json:"created_at"` // by the database's clock
	ExpiresAt *time.Time `json:"expires_at"` // when it signs no more; nil: not foreseen
}

// listSecrets returns at least one for a subscription that is there.
func (h *Handle) listSecrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]store.ListSecretsRow, error) {
	rows, err := h.in(db).ListSecrets(ctx, &store.ListSecretsParams{SubscriptionID: id, Under: string(h.cfg.RootSite)})
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	return rows, err
}

func (h *Handle) secretInfos(ctx context.Context, db store.DBTX, id uuid.UUID) ([]SecretInfo, error) {
	rows, err := h.listSecrets(ctx, db, id)
	infos := make([]SecretInfo, len(rows))
	for i, row := range rows {
		infos[i] = SecretInfo{
			ID:        row.ID,
			Kind:      kindOf(row.PublicKey),
			PublicKey: row.PublicKey,
			Pending:   row.Pending,
			Sealed:    row.Sealed,
			CreatedAt: row.CreatedAt,
			ExpiresAt: row.ExpiresAt,
		}
	}
	return infos, err
}

func kindOf(publicKey string) SecretKind {
	if publicKey != "" {
		return SecretEd25519
	}
	return SecretHMAC
}

func (h *Handle) secrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]Secret, error) {
	rows, err := h.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	var secrets []Secret
	for _, row := range rows {
		if row.Pending {
			continue
		}
		text, err := h.box.Open(ctx, sealed.Secret(row.ID, id), sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", row.ID, err)
		}
		secret, err := signing.ReadSecret(string(text))
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", row.ID, err)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// sealedSecret is a secret as it is to be stored.
type sealedSecret struct {
	id     uuid.UUID
	secret Secret
	value  sealed.Value
}

// seal prepares a secret for its row. It asks the Sealer, which can be remote: a
// method that opens a transaction of its own calls it before.
func (h *Handle) seal(ctx context.Context, subscription uuid.UUID, secret Secret) (*sealedSecret, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	value, err := h.box.Seal(ctx, sealed.Secret(id, subscription), []byte(secret.Reveal()))
	if err != nil {
		return nil, err
	}
	return &sealedSecret{
		id:     id,
		secret: secret,
		value:  value,
	}, nil
}
