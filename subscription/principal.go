package subscription

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
)

// maxAsked is how often the authorizer is asked anew because what it was asked
// about has changed meanwhile.
const maxAsked = 10

// PrincipalStore is a store of subscriptions in the hands of one
// principal: each method first asks an [access.Authorizer] whether the principal
// may do that. It is what an application's handlers for its users work with. It
// is safe for concurrent use and costs nothing to make.
//
// What the principal may not view does not exist for it: [ErrNotFound]. What it
// may view and not change is an [access.ErrDenied]. Any other answer of the
// authorizer is returned as it is, and nothing was done.
//
// The authorizer is asked while no connection of Riverhook is held, and the change
// is then made only if the subscription still is what was asked about; otherwise
// it is asked again. So it is if the site where a subscription would be is another by
// then, which can be seen if the tree of the store is a [hierarchy.Sites]. So a right is that of the moment before the change, and never
// one over what the subscription was earlier. In a transaction of the caller's ([Store.In])
// it is asked while that is open, before anything is locked for it.
type PrincipalStore struct {
	guard     access.Guard
	principal string
	subs      *Store
}

// As returns the store in the hands of a principal, as auth allows. A nil auth
// and the principal "" are denied everything.
func (s *Store) As(principal string, auth access.Authorizer) *PrincipalStore {
	return &PrincipalStore{
		guard:     access.NewGuard(auth),
		principal: principal,
		subs:      s,
	}
}

// Action is the question whether a principal may do this with the subscription.
func (s Subscription) Action(principal string, verb access.Verb) access.Action {
	a := access.Action{
		Principal:  principal,
		Verb:       verb,
		Site:       s.Site,
		Owner:      s.Owner,
		Operator:   s.Operator,
		Permission: s.Permission,
		Events:     s.Events,
		Channels:   s.Channels,
		Filter:     s.Filter,
		FailClosed: s.FailClosed,
	}
	if s.ID != uuid.Nil {
		a.SubscriptionID = s.ID.String()
	}
	if u, err := url.Parse(s.URL); err == nil {
		a.Host = u.Host
	}
	return a
}

// Do runs change in the store's transaction, or in one of its own that it commits if there
// is no error, if the principal may do this with the subscription. Until the end of the
// transaction the subscription stays as the authorizer was asked about it. It is for what an
// application changes together with a subscription, or by its right.
func (p *PrincipalStore) Do(ctx context.Context, id uuid.UUID, verb access.Verb, change func(tx pgx.Tx) error) error {
	return p.with(ctx, "act on subscription", id, verb, change)
}

// with is act for what returns nothing.
func (p *PrincipalStore) with(
	ctx context.Context, name string, id uuid.UUID, verb access.Verb, do func(tx pgx.Tx) error,
) error {
	_, err := act(ctx, p, deed[struct{}]{
		name: name,
		id:   id,
		verb: verb,
		do: func(tx pgx.Tx) (struct{}, error) {
			return struct{}{}, do(tx)
		},
	})
	return err
}

// deed is what a principal does with a subscription.
type deed[T any] struct {
	name    string // for errors
	id      uuid.UUID
	verb    access.Verb
	becomes func(sub *Subscription)    // makes it what it would be; nil: what it is asked about stays
	site    *hierarchy.Path            // to which it would move; nil: it stays
	prepare func() error               // once allowed, before a connection is taken; nil: nothing
	do      func(tx pgx.Tx) (T, error) // with the subscription locked
}

// act asks, and then does it in the store's transaction or in one of its own.
func act[T any](ctx context.Context, p *PrincipalStore, d deed[T]) (T, error) {
	var none T
	for range maxAsked {
		sub, err := p.subs.fetch(ctx, p.subs.db(), d.id)
		if err != nil {
			return none, failed(d.name, err)
		}
		var place *standingPlace
		if d.site != nil {
			if place, err = p.subs.standingPlace(ctx, p.subs.db(), sitetree.OrRoot(*d.site)); err != nil {
				return none, failed(d.name, err)
			}
		}
		err = p.allowed(ctx, sub, d.verb, d.becomes)
		if err == nil && d.prepare != nil {
			err = d.prepare()
		}
		if err != nil {
			return none, failed(d.name, err)
		}
		do := func(tx pgx.Tx) (T, error) {
			if err := p.unchanged(ctx, tx, sub); err != nil {
				return none, err
			}
			if err := p.subs.checkStanding(ctx, tx, place); err != nil {
				return none, err
			}
			return d.do(tx)
		}
		result, err := run(ctx, p.subs, d.name, do)
		if !errors.Is(err, errHasChanged) && !errors.Is(err, errMeanwhile) {
			return result, err
		}
	}
	return none, failed(d.name, errHasChanged)
}

var errHasChanged = errors.New("the subscription or its site changes each time that it is asked who may do this")

// allowed asks whether it may be seen, whether this may be done with it, and
// whether it may become what it would be.
func (p *PrincipalStore) allowed(ctx context.Context, sub *Subscription, verb access.Verb, becomes func(*Subscription)) error {
	actions := []access.Action{sub.Action(p.principal, access.VerbView)}
	if verb != access.VerbView {
		actions = append(actions, sub.Action(p.principal, verb))
	}
	if becomes != nil {
		after := *sub
		becomes(&after)
		now, then := sub.Action(p.principal, access.VerbCreate), after.Action(p.principal, access.VerbCreate)
		if !reflect.DeepEqual(now, then) {
			actions = append(actions, then)
			if sub.PendingURL != "" && after.URL == sub.URL { // it will hold for the URL that waits, too
				after.URL = sub.PendingURL
				actions = append(actions, after.Action(p.principal, access.VerbCreate))
			}
		}
	}
	answers := p.guard.AuthorizeMany(ctx, actions)
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

// unchanged locks the subscription if it still is what was asked about.
func (p *PrincipalStore) unchanged(ctx context.Context, tx pgx.Tx, asked *Subscription) error {
	if err := p.subs.lockPlaces(ctx, tx); err != nil {
		return err
	}
	sub, err := p.subs.lock(ctx, tx, asked.ID)
	if err != nil {
		return err
	}
	if sub.PendingURL != asked.PendingURL || !reflect.DeepEqual(sub.Action("", ""), asked.Action("", "")) {
		return errHasChanged
	}
	return nil
}

// In returns the same store in a transaction of the caller's, as [Store.In] does.
func (p *PrincipalStore) In(tx pgx.Tx) *PrincipalStore {
	in := *p
	in.subs = p.subs.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (p *PrincipalStore) InSQL(tx hierarchy.Querier) *PrincipalStore {
	in := *p
	in.subs = p.subs.InSQL(tx)
	return &in
}
