package hierarchy

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/store"
)

// maxLooked is how many subscriptions one List looks through at most, or a
// thousand more.
const maxLooked = 10_000

// SubscriptionPage is a page of a list.
type SubscriptionPage struct {
	Subscriptions []Subscription

	// Next is the AfterID of the next page; uuid.Nil: this page is the last. It
	// can be the id of a subscription that is not shown.
	Next uuid.UUID
}

// List is that of [Subscriptions], with those only that the principal may view. It
// asks for view of each. It looks through 10,000 subscriptions at most: a page can
// have fewer than ListOpts.Limit, or none, and not be the last. Who lists its own
// gives ListOpts.Owner.
func (p *PrincipalSubscriptions) List(ctx context.Context, opts *ListOpts) (*SubscriptionPage, error) {
	page, err := p.list(ctx, p.subs.pool, opts)
	return outcome("list subscriptions", page, err)
}

// ListTx is List in the caller's transaction.
func (p *PrincipalSubscriptions) ListTx(ctx context.Context, tx pgx.Tx, opts *ListOpts) (*SubscriptionPage, error) {
	page, err := p.list(ctx, tx, opts)
	return outcome("list subscriptions", page, err)
}

// GetMany is that of [Subscriptions], with those only that the principal may view.
// It asks for view of each.
func (p *PrincipalSubscriptions) GetMany(ctx context.Context, ids []uuid.UUID) ([]Subscription, error) {
	const action = "get subscriptions"
	subs, err := p.subs.getMany(ctx, ids)
	if err != nil {
		return nil, failed(action, err)
	}
	visible, err := p.visible(ctx, subs)
	return outcome(action, visible, err)
}

func (p *PrincipalSubscriptions) list(ctx context.Context, db store.DBTX, opts *ListOpts) (*SubscriptionPage, error) {
	var o ListOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	want := o.Limit
	o.Limit = max(want, defaultListLimit)
	page := &SubscriptionPage{}
	for looked := 0; looked < maxLooked; looked += o.Limit {
		subs, err := p.subs.list(ctx, db, &o)
		if err != nil {
			return nil, err
		}
		visible, err := p.visible(ctx, subs)
		if err != nil {
			return nil, err
		}
		page.Subscriptions = append(page.Subscriptions, visible...)
		if len(page.Subscriptions) > want {
			page.Subscriptions = page.Subscriptions[:want]
			page.Next = page.Subscriptions[want-1].ID
			return page, nil
		}
		if len(subs) < o.Limit {
			return page, nil
		}
		o.AfterID = subs[len(subs)-1].ID
	}
	page.Next = o.AfterID
	return page, nil
}

// visible are those that the principal may view.
func (p *PrincipalSubscriptions) visible(ctx context.Context, subs []Subscription) ([]Subscription, error) {
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
