package subscription

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
)

// ListSecrets is that of [Store]. It asks for view: it shows no secret.
func (p *PrincipalStore) ListSecrets(ctx context.Context, id uuid.UUID) ([]SecretInfo, error) {
	const action = "list secrets"
	sub, err := p.subs.fetch(ctx, p.subs.db(), id)
	if err == nil {
		err = p.allowed(ctx, sub, access.VerbView, nil)
	}
	if err != nil {
		return nil, failed(action, err)
	}
	infos, err := p.subs.secretInfos(ctx, p.subs.db(), id)
	return outcome(action, infos, err)
}

// Secrets is that of [Store]. It asks for secret.
func (p *PrincipalStore) Secrets(ctx context.Context, id uuid.UUID) ([]Secret, error) {
	var secrets []Secret // are opened before a connection is taken, and shown if nothing has changed
	return act(ctx, p, deed[[]Secret]{
		name: "read secrets",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			secrets, err = p.subs.secrets(ctx, p.subs.db(), id)
			return err
		},
		do: func(pgx.Tx) ([]Secret, error) { return secrets, nil },
	})
}

// RotateSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) RotateSecret(ctx context.Context, id uuid.UUID, opts *RotateOpts) (Secret, error) {
	var r *rotation
	return act(ctx, p, deed[Secret]{
		name: "rotate secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = p.subs.prepareRotation(ctx, p.subs.db(), id, opts)
			return err
		},
		do: func(tx pgx.Tx) (Secret, error) { return p.subs.rotate(ctx, tx, id, r) },
	})
}

// ConfirmSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) ConfirmSecret(ctx context.Context, id, secret uuid.UUID) error {
	return p.with(ctx, "confirm secret", id, access.VerbSecret, func(tx pgx.Tx) error { return p.subs.confirm(ctx, tx, id, secret) })
}

// RevokeSecret is that of [Store]. It asks for secret.
func (p *PrincipalStore) RevokeSecret(ctx context.Context, id, secret uuid.UUID) error {
	var r *revocation
	_, err := act(ctx, p, deed[struct{}]{
		name: "revoke secret",
		id:   id,
		verb: access.VerbSecret,
		prepare: func() (err error) {
			r, err = p.subs.prepareRevocation(ctx, p.subs.db(), id, secret)
			return err
		},
		do: func(tx pgx.Tx) (struct{}, error) { return struct{}{}, p.subs.revoke(ctx, tx, id, r) },
	})
	return err
}
