package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// maxLooked is how many deliveries one list looks through at most, or a page more.
const maxLooked = 10_000

// PrincipalHistory is a History in the hands of one principal: it shows what became
// of events for the subscriptions of which an [access.Authorizer] lets it see the
// history (access.VerbHistory). The authorizer is asked for each subscription as it
// is now, or was when it was deleted, while no connection of Riverhook is held. It
// is safe for concurrent use and costs nothing to make.
//
// Of subscriptions that the principal may not view everything is [ErrNotFound]; of
// those that it may view without their history, an [access.ErrDenied]; lists leave
// both out. What is for the operator alone, Attempt.Reason, is left out.
type PrincipalHistory struct {
	guard     access.Guard
	history   *History
	principal string
}

// As returns the history in the hands of a principal, as auth allows. A nil auth
// and the principal "" are denied everything.
func (h *History) As(principal string, auth access.Authorizer) *PrincipalHistory {
	return &PrincipalHistory{guard: access.NewGuard(auth), history: h, principal: principal}
}

// DeliveryPage is a page of a list of deliveries.
type DeliveryPage struct {
	Deliveries []Delivery

	// Next is the Before of the next page; uuid.Nil: this page is the last. It can
	// be the id of a delivery that is not shown.
	Next uuid.UUID
}

// Deliveries is that of [History]. It looks through 10,000 deliveries at most: a
// page can have fewer than DeliveryFilter.Limit, or none, and not be the last. With
// a SubscriptionID it says so where that may not be seen.
func (p *PrincipalHistory) Deliveries(ctx context.Context, filter *DeliveryFilter) (*DeliveryPage, error) {
	f := DeliveryFilter{}
	if filter != nil {
		f = *filter
	}
	if f.SubscriptionID != uuid.Nil {
		if err := p.allowed(ctx, p.history.store, f.SubscriptionID, access.VerbHistory); err != nil {
			return nil, fmt.Errorf("delivery: list deliveries: %w", err)
		}
	}
	if _, err := f.params(); err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", err)
	}
	def(&f.Limit, defaultListLimit)
	want := f.Limit
	f.Limit = max(want, defaultListLimit)
	page := &DeliveryPage{}
	known := map[uuid.UUID]bool{}
	for looked := 0; looked < maxLooked; looked += f.Limit {
		found, err := p.history.Deliveries(ctx, &f)
		if err != nil {
			return nil, err
		}
		if err := p.seeing(ctx, known, subscriptionsOf(found)); err != nil {
			return nil, fmt.Errorf("delivery: list deliveries: %w", err)
		}
		for _, d := range found {
			if !known[d.SubscriptionID] {
				continue
			}
			if len(page.Deliveries) == want {
				page.Next = page.Deliveries[want-1].ID
				return page, nil
			}
			page.Deliveries = append(page.Deliveries, d)
		}
		if len(found) < f.Limit {
			return page, nil
		}
		f.Before = found[len(found)-1].ID
	}
	page.Next = f.Before
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
	return d, nil
}

// Attempts is that of [History]; [ErrNotFound] for a delivery that is not there.
func (p *PrincipalHistory) Attempts(ctx context.Context, delivery uuid.UUID) ([]Attempt, error) {
	if _, err := p.Delivery(ctx, delivery); err != nil {
		return nil, err
	}
	attempts, err := p.history.Attempts(ctx, delivery)
	for i := range attempts {
		attempts[i].Reason = ""
	}
	return attempts, err
}

// Health is that of [History].
func (p *PrincipalHistory) Health(ctx context.Context, subscription uuid.UUID) (*Health, error) {
	if err := p.allowed(ctx, p.history.store, subscription, access.VerbHistory); err != nil {
		return nil, fmt.Errorf("delivery: health of subscription %s: %w", subscription, err)
	}
	return p.history.Health(ctx, subscription)
}

// Message is that of [History].
func (p *PrincipalHistory) Message(ctx context.Context, delivery uuid.UUID) (*Message, error) {
	if _, err := p.Delivery(ctx, delivery); err != nil {
		return nil, err
	}
	return p.history.Message(ctx, delivery)
}

// Explain is that of [History], for the subscriptions whose history the principal
// may see. Unless one of them has a delivery of the intent it is
// [ErrIntentNotFound]: what nobody was allowed to be told is not told here either.
// For the same reason the intent is without its attributes, and without the hash of
// its data. It looks at the subscriptions that [History] lists.
func (p *PrincipalHistory) Explain(ctx context.Context, id string) (*Explanation, error) {
	x, err := p.history.Explain(ctx, id)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(x.Subscriptions))
	for i, s := range x.Subscriptions {
		ids[i] = s.SubscriptionID
	}
	known := map[uuid.UUID]bool{}
	if err := p.seeing(ctx, known, ids); err != nil {
		return nil, fmt.Errorf("delivery: explain: %w", err)
	}
	all := x.Subscriptions
	x.Subscriptions, x.Intent.Attributes, x.Intent.DataSHA256 = nil, nil, ""
	told := false
	for _, s := range all {
		if known[s.SubscriptionID] {
			x.Subscriptions = append(x.Subscriptions, s)
			told = told || s.DeliveryID != nil
		}
	}
	if !told {
		return nil, fmt.Errorf("delivery: intent %q: %w", id, ErrIntentNotFound)
	}
	return x, nil
}

// seeing adds to known of which of the subscriptions the history may be seen.
func (p *PrincipalHistory) seeing(ctx context.Context, known map[uuid.UUID]bool, ids []uuid.UUID) error {
	var fresh []uuid.UUID
	for _, id := range ids {
		if _, ok := known[id]; !ok {
			known[id] = false
			fresh = append(fresh, id)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	rows, err := p.history.store.GetSubscriptions(ctx, store.UUIDs(fresh))
	if err != nil {
		return err
	}
	actions := make([]access.Action, 0, 2*len(rows))
	for _, row := range rows {
		actions = append(actions, p.action(row, access.VerbView), p.action(row, access.VerbHistory))
	}
	answers := p.guard.AuthorizeMany(ctx, actions)
	for i, row := range rows {
		may := true
		for _, err := range answers[2*i : 2*i+2] {
			if err != nil && !errors.Is(err, access.ErrDenied) {
				return err
			}
			may = may && err == nil
		}
		known[row.ID] = may
	}
	return nil
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
	answers := p.guard.AuthorizeMany(ctx, []access.Action{p.action(rows[0], access.VerbView), p.action(rows[0], verb)})
	if errors.Is(answers[0], access.ErrDenied) {
		return ErrNotFound
	}
	if answers[0] != nil {
		return answers[0]
	}
	return answers[1]
}

func (p *PrincipalHistory) action(row store.Subscription, verb access.Verb) access.Action {
	return hierarchy.Subscription{
		ID: row.ID, Site: hierarchy.Path(row.Site), URL: row.URL, Events: row.Events, Channels: row.Channels,
		Owner: row.Owner, Operator: row.Operator, Permission: row.Permission,
		Filter: row.Filter, FailClosed: row.FailClosed,
	}.Action(p.principal, verb)
}

func subscriptionsOf(deliveries []Delivery) []uuid.UUID {
	ids := make([]uuid.UUID, len(deliveries))
	for i, d := range deliveries {
		ids[i] = d.SubscriptionID
	}
	return ids
}
