package subscription

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
)

// Create is that of [Store]. It asks for create, of the specification.
func (p *PrincipalStore) Create(ctx context.Context, spec Spec) (*Created, error) {
	const action = "create subscription"
	n, err := p.subs.cfg.prepare(spec) // what it leaves out has its default when the authorizer is asked
	if err != nil {
		return nil, failed(action, err)
	}
	a := n.sub.Action(p.principal, access.VerbCreate)
	a.SubscriptionID = ""
	for range maxAsked {
		place, err := p.subs.standingPlace(ctx, p.subs.db(), n.sub.Site)
		if err == nil {
			err = p.guard.Authorize(ctx, a)
		}
		if err == nil && n.sealed == nil {
			err = p.subs.sealNew(ctx, n)
		}
		if err != nil {
			return nil, failed(action, err)
		}
		created, err := run(ctx, p.subs, action, func(tx pgx.Tx) (*Created, error) {
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

// Get is that of [Store]. It asks for view.
func (p *PrincipalStore) Get(ctx context.Context, id uuid.UUID) (*Subscription, error) {
	const action = "get subscription"
	sub, err := p.subs.fetch(ctx, p.subs.db(), id)
	if err != nil {
		return nil, failed(action, err)
	}
	if err := p.allowed(ctx, sub, access.VerbView, nil); err != nil {
		return nil, failed(action, err)
	}
	return sub, nil
}

// Update is that of [Store]. It asks for change, of the subscription as it
// is; and, where what an [access.Action] says of it becomes other, also for create,
// of the subscription as it would be.
func (p *PrincipalStore) Update(ctx context.Context, id uuid.UUID, u Update) (*Subscription, error) {
	const action = "update subscription"
	if err := p.subs.cfg.checkUpdate(&u); err != nil {
		return nil, failed(action, err)
	}
	var prepared *preparedUpdate
	return act(ctx, p, deed[*Subscription]{
		name:    action,
		id:      id,
		verb:    access.VerbChange,
		becomes: u.apply,
		site:    u.Site,
		prepare: func() (err error) {
			prepared, err = p.subs.prepareUpdate(ctx, p.subs.db(), id, u)
			return err
		},
		do: func(tx pgx.Tx) (*Subscription, error) { return p.subs.update(ctx, tx, id, u, prepared) },
	})
}

// Activate is that of [Store]. It asks for change.
func (p *PrincipalStore) Activate(ctx context.Context, id uuid.UUID, opts *ActivateOpts) (bool, error) {
	return act(ctx, p, deed[bool]{
		name: "activate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.activate(ctx, tx, id, opts) },
	})
}

// Deactivate is that of [Store]. It asks for change.
func (p *PrincipalStore) Deactivate(ctx context.Context, id uuid.UUID, reason string) (bool, error) {
	return act(ctx, p, deed[bool]{
		name: "deactivate subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.deactivate(ctx, tx, id, reason) },
	})
}

// Pause is that of [Store]. It asks for change.
func (p *PrincipalStore) Pause(ctx context.Context, id uuid.UUID) (bool, error) {
	return act(ctx, p, deed[bool]{
		name: "pause subscription",
		id:   id,
		verb: access.VerbChange,
		do:   func(tx pgx.Tx) (bool, error) { return p.subs.pause(ctx, tx, id) },
	})
}

// Delete is that of [Store]. It asks for delete.
func (p *PrincipalStore) Delete(ctx context.Context, id uuid.UUID) error {
	return p.with(ctx, "delete subscription", id, access.VerbDelete, func(tx pgx.Tx) error { return p.subs.remove(ctx, tx, id) })
}
