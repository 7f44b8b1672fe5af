package subscription

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/store"
)

// Create is that of [Store]. It asks for create, of the specification.
func (p *PrincipalStore) Create(ctx context.Context, spec Spec) (*Created, error) {
	return p.create(ctx, nil, spec)
}

// CreateTx is Create in the caller's transaction.
func (p *PrincipalStore) CreateTx(ctx context.Context, tx pgx.Tx, spec Spec) (*Created, error) {
	return p.create(ctx, tx, spec)
}

// Get is that of [Store]. It asks for view.
func (p *PrincipalStore) Get(ctx context.Context, id uuid.UUID) (*Subscription, error) {
	return p.get(ctx, p.subs.pool, id)
}

// GetTx is Get in the caller's transaction.
func (p *PrincipalStore) GetTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Subscription, error) {
	return p.get(ctx, tx, id)
}

// Update is that of [Store]. It asks for change, of the subscription as it
// is; and, where what an [access.Action] says of it becomes other, also for create,
// of the subscription as it would be.
func (p *PrincipalStore) Update(ctx context.Context, id uuid.UUID, u Update) (*Subscription, error) {
	return p.update(ctx, nil, id, u)
}

// UpdateTx is Update in the caller's transaction.
func (p *PrincipalStore) UpdateTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, u Update) (*Subscription, error) {
	return p.update(ctx, tx, id, u)
}

// Activate is that of [Store]. It asks for change.
func (p *PrincipalStore) Activate(ctx context.Context, id uuid.UUID) (bool, error) {
	return p.activate(ctx, nil, id, nil)
}

// ActivateTx is Activate in the caller's transaction.
func (p *PrincipalStore) ActivateTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) (bool, error) {
	return p.activate(ctx, tx, id, nil)
}

// ActivateWith is that of [Store]. It asks for change.
func (p *PrincipalStore) ActivateWith(ctx context.Context, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return p.activate(ctx, nil, id, opts)
}

// ActivateWithTx is ActivateWith in the caller's transaction.
func (p *PrincipalStore) ActivateWithTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return p.activate(ctx, tx, id, opts)
}

// Deactivate is that of [Store]. It asks for change.
func (p *PrincipalStore) Deactivate(ctx context.Context, id uuid.UUID, reason string) (bool, error) {
	return p.deactivate(ctx, nil, id, reason)
}

// DeactivateTx is Deactivate in the caller's transaction.
func (p *PrincipalStore) DeactivateTx(ctx context.Context, tx pgx.Tx, id uuid.UUID, reason string) (bool, error) {
	return p.deactivate(ctx, tx, id, reason)
}

// Pause is that of [Store]. It asks for change.
func (p *PrincipalStore) Pause(ctx context.Context, id uuid.UUID) (bool, error) {
	return p.pause(ctx, nil, id)
}

// PauseTx is Pause in the caller's transaction.
func (p *PrincipalStore) PauseTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) (bool, error) {
	return p.pause(ctx, tx, id)
}

// Delete is that of [Store]. It asks for delete.
func (p *PrincipalStore) Delete(ctx context.Context, id uuid.UUID) error {
	return p.remove(ctx, nil, id)
}

// DeleteTx is Delete in the caller's transaction.
func (p *PrincipalStore) DeleteTx(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return p.remove(ctx, tx, id)
}

// create asks once the specification was checked: what it leaves out has its
// default by then.
func (p *PrincipalStore) create(ctx context.Context, tx pgx.Tx, spec Spec) (*Created, error) {
	const action = "create subscription"
	n, err := p.subs.cfg.prepare(spec)
	if err != nil {
		return nil, failed(action, err)
	}
	a := n.sub.Action(p.principal, access.VerbCreate)
	a.SubscriptionID = ""
	for range maxAsked {
		place, err := p.subs.standingPlace(ctx, p.db(tx), n.sub.Site)
		if err == nil {
			err = p.guard.Authorize(ctx, a)
		}
		if err == nil && n.sealed == nil {
			err = p.subs.sealNew(ctx, n)
		}
		if err != nil {
			return nil, failed(action, err)
		}
		created, err := inTxOr(ctx, p.subs.pool, tx, action, func(tx pgx.Tx) (*Created, error) {
			if err := p.subs.checkStanding(ctx, tx, place); err != nil {
				return nil, err
			}
			return p.subs.insert(ctx, tx, n)
		})
		if !errors.Is(err, errHasChanged) {
			return created, err
		}
	}
	return nil, failed(action, errHasChanged)
}

func (p *PrincipalStore) get(ctx context.Context, db store.DBTX, id uuid.UUID) (*Subscription, error) {
	const action = "get subscription"
	sub, err := p.subs.fetch(ctx, db, id)
	if err != nil {
		return nil, failed(action, err)
	}
	if err := p.allowed(ctx, sub, access.VerbView, nil); err != nil {
		return nil, failed(action, err)
	}
	return sub, nil
}

func (p *PrincipalStore) update(ctx context.Context, tx pgx.Tx, id uuid.UUID, u Update) (*Subscription, error) {
	const action = "update subscription"
	if err := p.subs.cfg.checkUpdate(&u); err != nil {
		return nil, failed(action, err)
	}
	var prepared *preparedUpdate
	return act(ctx, p, tx, deed[*Subscription]{
		name:    action,
		id:      id,
		verb:    access.VerbChange,
		becomes: u.apply,
		site:    u.Site,
		prepare: func() (err error) {
			prepared, err = p.subs.prepareUpdate(ctx, p.db(tx), id, u)
			return err
		},
		do: func(tx pgx.Tx) (*Subscription, error) { return p.subs.update(ctx, tx, id, u, prepared) },
	})
}

func (p *PrincipalStore) activate(ctx context.Context, tx pgx.Tx, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return act(ctx, p, tx, deed[bool]{
		name: "activate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.activate(ctx, tx, id, opts) },
	})
}

func (p *PrincipalStore) deactivate(ctx context.Context, tx pgx.Tx, id uuid.UUID, reason string) (bool, error) {
	return act(ctx, p, tx, deed[bool]{
		name: "deactivate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.deactivate(ctx, tx, id, reason) },
	})
}

func (p *PrincipalStore) pause(ctx context.Context, tx pgx.Tx, id uuid.UUID) (bool, error) {
	return act(ctx, p, tx, deed[bool]{
		name: "pause subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.pause(ctx, tx, id) },
	})
}

func (p *PrincipalStore) remove(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	return p.with(ctx, tx, "delete subscription", id, access.VerbDelete, func(tx pgx.Tx) error { return p.subs.remove(ctx, tx, id) })
}
