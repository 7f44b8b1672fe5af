package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// judgeStep is about how many subscriptions the authorizer is asked in one call.
const judgeStep = 500

// PrincipalHistory is a History in the hands of one principal: it shows what became
// of events for the subscriptions of which an [access.Authorizer] lets it see the
// history (access.VerbHistory). The authorizer is asked for each subscription as it
// is now, or was when it was deleted, while no connection of Riverhook is held. It
// is safe for concurrent use and costs nothing to make.
//
// Of subscriptions that the principal may not view everything is [ErrNotFound]; of
// those that it may view without their history, an [access.ErrDenied]; lists leave
// both out.
//
// What is for the operator alone is left out: Attempt.Reason and Attempt.Engine. Where a
// checker, an authorizer of the host, an externalizer or another part of the host has
// failed, texts say in which class of ways, and name a reference by which an operator
// finds the error: the id of the delivery, or the ids of the event and of the subscription.
type PrincipalHistory struct {
	auth      access.Authorizer
	history   *History
	principal string
}

// As returns the history in the hands of a principal, as auth allows. A nil auth
// and the principal "" are denied everything.
func (h *History) As(principal string, auth access.Authorizer) *PrincipalHistory {
	return &PrincipalHistory{
		auth:      auth,
		history:   h,
		principal: principal,
	}
}

// Deliveries is that of [History]. The authorizer is asked first, for each
// subscription that SubscriptionID and Owner leave, and the deliveries are then those of
// the ones that may be seen: neither a page nor its Next depends on what others are
// sent. With a SubscriptionID it says so where that may not be seen.
func (p *PrincipalHistory) Deliveries(ctx context.Context, filter *DeliveryFilter) (*DeliveryPage, error) {
	params, err := filter.params()
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	if params.SubscriptionID != nil {
		err = p.allowed(ctx, p.history.store, *params.SubscriptionID, access.VerbHistory)
	} else {
		params.Subscriptions, err = p.shown(ctx, params.Owner)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	if params.SubscriptionID == nil && len(params.Subscriptions) == 0 {
		return &DeliveryPage{}, nil
	}
	page, err := p.history.deliveryPage(ctx, params)
	if err != nil {
		return nil, err
	}
	for i := range page.Deliveries {
		page.Deliveries[i].forOwner()
	}
	return page, nil
}

// Delivery is that of [History].
func (p *PrincipalHistory) Delivery(ctx context.Context, id uuid.UUID) (*Delivery, error) {
	d, err := p.history.Delivery(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := p.allowed(ctx, p.history.store, d.SubscriptionID, access.VerbHistory); err != nil {
		return nil, fmt.Errorf("delivery: delivery %s: %w", id, err)
	}
	d.forOwner()
	return d, nil
}

// Attempts is that of [History]; [ErrNotFound] for a delivery that is not there.
func (p *PrincipalHistory) Attempts(ctx context.Context, delivery uuid.UUID) ([]Attempt, error) {
	if _, err := p.Delivery(ctx, delivery); err != nil {
		return nil, err
	}
	attempts, err := p.history.Attempts(ctx, delivery)
	for i := range attempts {
		hideHost(&attempts[i])
	}
	return attempts, err
}

// Health is that of [History].
func (p *PrincipalHistory) Health(ctx context.Context, subscriptionID uuid.UUID) (*Health, error) {
	if err := p.allowed(ctx, p.history.store, subscriptionID, access.VerbHistory); err != nil {
		return nil, fmt.Errorf("delivery: health of subscription %s: %w", subscriptionID, err)
	}
	return p.history.Health(ctx, subscriptionID)
}

// Message is that of [History].
func (p *PrincipalHistory) Message(ctx context.Context, delivery uuid.UUID) (*Message, error) {
	if _, err := p.Delivery(ctx, delivery); err != nil {
		return nil, err
	}
	return p.history.Message(ctx, delivery)
}

// shown are the subscriptions of an owner, or of everybody, whose history may be seen.
func (p *PrincipalHistory) shown(ctx context.Context, owner string) ([]string, error) {
	list := &store.ListSubscriptionsParams{
		Before:         uuid.Max,
		IncludeDeleted: true,
		MaxRows:        judgeStep,
		Owner:          owner,
		Patterns:       []string{},
		Under:          string(hierarchy.Root),
	}
	var shown []string
	for {
		rows, err := p.history.store.ListSubscriptions(ctx, list)
		if err != nil {
			return nil, err
		}
		step, err := p.judged(ctx, rows)
		if err != nil {
			return nil, err
		}
		shown = append(shown, step...)
		if len(rows) < list.MaxRows {
			return shown, nil
		}
		list.Before = rows[len(rows)-1].ID
	}
}

// shownOf are those of the subscriptions whose history may be seen.
func (p *PrincipalHistory) shownOf(ctx context.Context, ids []uuid.UUID) ([]string, error) {
	var shown []string
	for chunk := range slices.Chunk(ids, judgeStep) {
		rows, err := p.history.store.GetSubscriptions(ctx, store.UUIDs(chunk))
		if err != nil {
			return nil, err
		}
		step, err := p.judged(ctx, rows)
		if err != nil {
			return nil, err
		}
		shown = append(shown, step...)
	}
	return shown, nil
}

// judged asks the authorizer about subscriptions, in one call.
func (p *PrincipalHistory) judged(ctx context.Context, rows []store.Subscription) ([]string, error) {
	actions := make([]access.Action, 0, 2*len(rows))
	for _, row := range rows {
		actions = append(actions, p.action(row, access.VerbView), p.action(row, access.VerbHistory))
	}
	answers := access.AuthorizeAll(ctx, p.auth, actions)
	var shown []string
	for i, row := range rows {
		may := true
		for _, err := range answers[2*i : 2*i+2] {
			if err != nil && !errors.Is(err, access.ErrDenied) {
				return nil, err
			}
			may = may && err == nil
		}
		if may {
			shown = append(shown, row.ID.String())
		}
	}
	return shown, nil
}

// allowed asks whether a subscription may be seen and this may be done with it.
func (p *PrincipalHistory) allowed(ctx context.Context, q *store.Queries, id uuid.UUID, verb access.Verb) error {
	rows, err := q.GetSubscriptions(ctx, store.UUIDs([]uuid.UUID{id}))
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return ErrNotFound
	}
	answers := access.AuthorizeAll(ctx, p.auth, []access.Action{p.action(rows[0], access.VerbView), p.action(rows[0], verb)})
	if errors.Is(answers[0], access.ErrDenied) {
		return ErrNotFound
	}
	if answers[0] != nil {
		return answers[0]
	}
	return answers[1]
}

func (p *PrincipalHistory) action(row store.Subscription, verb access.Verb) access.Action {
	return subscription.Subscription{
		ID:         row.ID,
		Site:       hierarchy.Path(row.Site),
		URL:        row.URL,
		Events:     row.Events,
		Channels:   row.Channels,
		Owner:      row.Owner,
		Operator:   row.Operator,
		Permission: row.Permission,
		Filter:     row.Filter,
		FailClosed: row.FailClosed,
	}.Action(p.principal, verb)
}
