package subscription

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/cursor"
)

// authorizeStep is for how many subscriptions the authorizer is asked in one call.
const authorizeStep = 1000

// List is that of [Store], with those only that the principal may view. It
// asks for view of each that the options leave, newest first, until the page is full:
// who lists its own gives ListOpts.Owner.
func (p *PrincipalStore) List(ctx context.Context, opts *ListOpts) (*Page, error) {
	page, err := p.list(ctx, opts)
	return outcome("list subscriptions", page, err)
}

// GetMany is that of [Store], with those only that the principal may view.
// It asks for view of each.
func (p *PrincipalStore) GetMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	const action = "get subscriptions"
	subs, err := p.subs.getMany(ctx, ids)
	if err != nil {
		return nil, failed(action, err)
	}
	visible, err := p.visible(ctx, subs)
	return outcome(action, visible, err)
}

func (p *PrincipalStore) list(ctx context.Context, opts *ListOpts) (*Page, error) {
	o, before, err := checkListOpts(opts)
	if err != nil {
		return nil, err
	}
	var shown []Subscription
	step := min(max(o.Limit+1, cursor.DefaultLimit), authorizeStep)
	for {
		subs, err := p.subs.listBefore(ctx, p.subs.db(), o, before, step)
		if err != nil {
			return nil, err
		}
		visible, err := p.visible(ctx, subs)
		if err != nil {
			return nil, err
		}
		shown = append(shown, visible...)
		if len(shown) > o.Limit || len(subs) < step {
			return subscriptionPage(shown[:min(len(shown), o.Limit+1)], o.Limit), nil
		}
		before, step = subs[len(subs)-1].ID, authorizeStep
	}
}

// visible are those that the principal may view.
func (p *PrincipalStore) visible(ctx context.Context, subs []Subscription) ([]Subscription, error) {
	actions := make([]access.Action, len(subs))
	for i := range subs {
		actions[i] = subs[i].Action(p.principal, access.VerbView)
	}
	visible := make([]Subscription, 0, len(subs))
	for i, err := range p.guard.AuthorizeMany(ctx, actions) {
		switch {
		case err == nil:
			visible = append(visible, subs[i])
		case !errors.Is(err, access.ErrDenied):
			return nil, err
		}
	}
	return visible, nil
}
