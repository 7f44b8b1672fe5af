package subscription

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
)

const (
	// authorizeStep is for how many subscriptions the authorizer is asked in one call.
	authorizeStep = 1000

	// maxAsked is how often a change is tried anew because what it was prepared for has
	// changed meanwhile.
	maxAsked = 10
)

var errHasChanged = errors.New("the subscription or its site changes each time that it is asked who may do this")

// authority is the principal that acts through a handle, and what says what it may do.
type authority struct {
	principal string
	auth      access.Authorizer
}

// deed is what is done with a subscription.
type deed[T any] struct {
	name    string // for errors
	id      uuid.UUID
	verb    access.Verb                // the right that a principal needs
	becomes func(sub *Subscription)    // makes it what it would be; nil: what it is asked about stays
	site    *hierarchy.Path            // to which it would move; nil: it stays
	prepare func() error               // once allowed, before a connection is taken; nil: nothing
	do      func(tx pgx.Tx) (T, error) // of a principal, with the subscription locked
}

// act does what a deed says in the handle's transaction, or in one of its own, if whoever has
// the handle may do that. What has changed meanwhile is asked about and prepared anew.
func act[T any](ctx context.Context, h *Handle, d deed[T]) (result T, err error) {
	tries := maxAsked
	if h.by == nil {
		tries = h.scope.Tries(maxAsked)
	}
	for range tries {
		result, err = try(ctx, h, d)
		if !errors.Is(err, errHasChanged) && !errors.Is(err, errMeanwhile) {
			break
		}
	}
	return result, err
}

func try[T any](ctx context.Context, h *Handle, d deed[T]) (T, error) {
	allowed, err := h.ask(ctx, d.id, d.verb, d.becomes, d.site)
	if err == nil && d.prepare != nil {
		err = d.prepare()
	}
	if err != nil {
		var none T
		return none, failed(d.name, err)
	}
	return run(ctx, h, d.name, func(tx pgx.Tx) (T, error) {
		if err := h.stillAllowed(ctx, tx, allowed); err != nil {
			var none T
			return none, err
		}
		return d.do(tx)
	})
}

// do is act for what returns nothing.
func (h *Handle) do(ctx context.Context, d deed[struct{}]) error {
	_, err := act(ctx, h, d)
	return err
}

// permit is what a principal was allowed to act on.
type permit struct {
	sub   *Subscription
	place *standingPlace // to which it would move; nil: it stays
}

// ask asks whether a principal may do this. The permit of the application is nil.
func (h *Handle) ask(
	ctx context.Context, id uuid.UUID, verb access.Verb, becomes func(*Subscription), site *hierarchy.Path,
) (*permit, error) {
	if h.by == nil {
		return nil, nil //nolint:nilnil // the application needs none
	}
	p := &permit{}
	var err error
	if p.sub, err = h.fetch(ctx, h.db(), id); err != nil {
		return nil, err
	}
	if site != nil {
		if p.place, err = h.standingPlace(ctx, h.db(), sitetree.OrRoot(*site)); err != nil {
			return nil, err
		}
	}
	return p, h.allowed(ctx, p.sub, verb, becomes)
}

// stillAllowed locks the subscription, and the sites, if they still are what was asked about.
func (h *Handle) stillAllowed(ctx context.Context, tx pgx.Tx, p *permit) error {
	if p == nil {
		return nil
	}
	if err := h.lockPlaces(ctx, tx); err != nil {
		return err
	}
	sub, err := h.lock(ctx, tx, p.sub.ID)
	if err != nil {
		return err
	}
	if sub.PendingURL != p.sub.PendingURL || !reflect.DeepEqual(sub.Action("", ""), p.sub.Action("", "")) {
		return errHasChanged
	}
	return h.checkStanding(ctx, tx, p.place)
}

// locked runs change with the subscription locked, which that of a principal is already.
func (h *Handle) locked(ctx context.Context, tx pgx.Tx, id uuid.UUID, change func(tx pgx.Tx) error) error {
	if h.by == nil {
		if err := h.lockPlaces(ctx, tx); err != nil {
			return err
		}
		if _, err := h.lock(ctx, tx, id); err != nil {
			return err
		}
	}
	return change(tx)
}

// mayCreate asks whether a principal may create a subscription, at the site that its path
// names now.
func (h *Handle) mayCreate(ctx context.Context, sub *Subscription) (*standingPlace, error) {
	if h.by == nil {
		return nil, nil //nolint:nilnil // the application needs none
	}
	place, err := h.standingPlace(ctx, h.db(), sub.Site)
	if err != nil {
		return nil, err
	}
	a := sub.Action(h.by.principal, access.VerbCreate)
	a.SubscriptionID = ""
	return place, access.AuthorizeAll(ctx, h.by.auth, []access.Action{a})[0]
}

// mayView asks whether a principal may see a subscription.
func (h *Handle) mayView(ctx context.Context, id uuid.UUID) error {
	_, err := h.ask(ctx, id, access.VerbView, nil, nil)
	return err
}

// visible are those that a principal may view.
func (h *Handle) visible(ctx context.Context, subs []Subscription) ([]Subscription, error) {
	if h.by == nil {
		return subs, nil
	}
	actions := make([]access.Action, len(subs))
	for i := range subs {
		actions[i] = subs[i].Action(h.by.principal, access.VerbView)
	}
	visible := make([]Subscription, 0, len(subs))
	for i, err := range access.AuthorizeAll(ctx, h.by.auth, actions) {
		switch {
		case err == nil:
			visible = append(visible, subs[i])
		case !errors.Is(err, access.ErrDenied):
			return nil, err
		}
	}
	return visible, nil
}

// allowed asks whether the subscription may be seen, whether this may be done with it, and
// whether it may become what it would be.
func (h *Handle) allowed(ctx context.Context, sub *Subscription, verb access.Verb, becomes func(*Subscription)) error {
	if h.by == nil {
		return nil
	}
	actions := []access.Action{sub.Action(h.by.principal, access.VerbView)}
	if verb != access.VerbView {
		actions = append(actions, sub.Action(h.by.principal, verb))
	}
	if becomes != nil {
		after := *sub
		becomes(&after)
		now, then := sub.Action(h.by.principal, access.VerbCreate), after.Action(h.by.principal, access.VerbCreate)
		more := then
		if !after.Rate.isMoreThan(sub.Rate) { // who may change it may lower that
			more.Rate, more.Burst = now.Rate, now.Burst
		}
		if !reflect.DeepEqual(now, more) {
			actions = append(actions, then)
			if sub.PendingURL != "" && after.URL == sub.URL { // it will hold for the URL that waits, too
				after.URL = sub.PendingURL
				actions = append(actions, after.Action(h.by.principal, access.VerbCreate))
			}
		}
	}
	answers := access.AuthorizeAll(ctx, h.by.auth, actions)
	if errors.Is(answers[0], access.ErrDenied) {
		return fmt.Errorf("subscription %s: %w", sub.ID, ErrNotFound)
	}
	for _, err := range answers {
		if err != nil {
			return err
		}
	}
	return nil
}
