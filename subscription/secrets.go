package subscription

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/signing"
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

// ListSecrets returns what is known of the secrets of a subscription that have not
// expired, newest first, without the secrets themselves. They are never none.
func (s *Store) ListSecrets(ctx context.Context, id uuid.UUID) ([]SecretInfo, error) {
	infos, err := s.secretInfos(ctx, s.db(), id)
	return outcome("list secrets", infos, err)
}

// Secrets returns the secrets that requests are signed with now, newest first: the
// one call that shows a secret which was shown before. An application that shows
// secrets once never calls it, and gives a user who has lost one a new one with
// RotateSecret; it is there for the operator who moves subscriptions elsewhere.
func (s *Store) Secrets(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	secrets, err := s.secrets(ctx, s.db(), id)
	return outcome("read secrets", secrets, err)
}

// listSecrets returns at least one for a subscription that is there.
func (s *Store) listSecrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]store.ListSecretsRow, error) {
	rows, err := s.in(db).ListSecrets(ctx, &store.ListSecretsParams{SubscriptionID: id, Under: string(s.cfg.RootSite)})
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("subscription %s: %w", id, ErrNotFound)
	}
	return rows, err
}

func (s *Store) secretInfos(ctx context.Context, db store.DBTX, id uuid.UUID) ([]SecretInfo, error) {
	rows, err := s.listSecrets(ctx, db, id)
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

func (s *Store) secrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]Secret, error) {
	rows, err := s.listSecrets(ctx, db, id)
	if err != nil {
		return nil, err
	}
	var secrets []Secret
	for _, row := range rows {
		if row.Pending {
			continue
		}
		text, err := s.box.Open(ctx, sealed.Secret(row.ID, id), sealed.Value{Bytes: row.Value, Sealed: row.Sealed})
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
func (s *Store) seal(ctx context.Context, subscription uuid.UUID, secret Secret) (*sealedSecret, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	value, err := s.box.Seal(ctx, sealed.Secret(id, subscription), []byte(secret.Reveal()))
	if err != nil {
		return nil, err
	}
	return &sealedSecret{
		id:     id,
		secret: secret,
		value:  value,
	}, nil
}
