package subscription

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/store"
)

// ListSecrets is that of [Store]. It asks for view: it shows no secret.
func (p *PrincipalStore) ListSecrets(ctx context.Context, id uuid.UUID) ([]SecretInfo, error) {
	return p.listSecrets(ctx, p.subs.pool, id)
}

// ListSecretsTx is ListSecrets in the caller's transaction.
func (p *PrincipalStore) ListSecretsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) ([]SecretInfo, error) {
	return p.listSecrets(ctx, tx, id)
}

// Secrets is that of [Store]. It asks for secret.
func (p *PrincipalStore) Secrets(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	return p.secrets(ctx, nil, id)
}

// SecretsTx is Secrets in the caller's transaction.
func (p *PrincipalStore) SecretsTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) ([]Secret, error) {
	return p.secrets(ctx, tx, id)
}

// RotateSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) RotateSecret(ctx context.Context, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	return p.rotate(ctx, nil, id, opts)
}

// RotateSecretTx is RotateSecret in the caller's transaction.
func (p *PrincipalStore) RotateSecretTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	return p.rotate(ctx, tx, id, opts)
}

// ConfirmSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) ConfirmSecret(ctx context.Context, id, secret uuid.UUID) error {
	return p.confirm(ctx, nil, id, secret)
}

// ConfirmSecretTx is ConfirmSecret in the caller's transaction.
func (p *PrincipalStore) ConfirmSecretTx(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	return p.confirm(ctx, tx, id, secret)
}

// RevokeSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) RevokeSecret(ctx context.Context, id, secret uuid.UUID) error {
	return p.revoke(ctx, nil, id, secret)
}

// RevokeSecretTx is RevokeSecret in the caller's transaction.
func (p *PrincipalStore) RevokeSecretTx(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	return p.revoke(ctx, tx, id, secret)
}

func (p *PrincipalStore) listSecrets(ctx context.Context, db store.DBTX, id uuid.UUID) ([]SecretInfo, error) {
	const action = "list secrets"
	sub, err := p.subs.fetch(ctx, db, id)
	if err == nil {
		err = p.allowed(ctx, sub, access.VerbView, nil)
	}
	if err != nil {
		return nil, failed(action, err)
	}
	infos, err := p.subs.secretInfos(ctx, db, id)
	return outcome(action, infos, err)
}

// secrets opens them before a connection is taken, and shows them only if they
// are those of what was asked about.
func (p *PrincipalStore) secrets(ctx context.Context, tx pgx.Tx, id uuid.UUID) ([]Secret, error) {
	var secrets []Secret
	return act(ctx, p, tx, deed[[]Secret]{
		name: "read secrets",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			secrets, err = p.subs.secrets(ctx, p.db(tx), id)
			return err
		},
		do: func(pgx.Tx) ([]Secret, error) { return secrets, nil },
	})
}

func (p *PrincipalStore) rotate(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	var r *rotation
	return act(ctx, p, tx, deed[Secret]{
		name: "rotate secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = p.subs.prepareRotation(ctx, p.db(tx), id, opts)
			return err
		},
		do: func(tx pgx.Tx) (Secret, error) { return p.subs.rotate(ctx, tx, id, r) },
	})
}

func (p *PrincipalStore) confirm(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	return p.with(ctx, tx, "confirm secret", id, access.VerbSecret, func(tx pgx.Tx) error { return p.subs.confirm(ctx, tx, id, secret) })
}

func (p *PrincipalStore) revoke(ctx context.Context, tx pgx.Tx, id, secret uuid.UUID) error {
	var r *revocation
	_, err := act(ctx, p, tx, deed[struct{}]{
		name: "revoke secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = p.subs.prepareRevocation(ctx, p.db(tx), id, secret)
			return err
		},
		do: func(tx pgx.Tx) (struct{}, error) { return struct{}{}, p.subs.revoke(ctx, tx, id, r) },
	})
	return err
}
