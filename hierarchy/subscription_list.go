package hierarchy

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	defaultListLimit = 100
	maxListLimit     = 1000
)

// ListOpts narrows a listing. Those that are given must all hold.
type ListOpts struct {
	// AfterID is the last id of the page before. Default: from the start.
	AfterID uuid.UUID

	// EventType is a type that the subscription would hear, umbrella types
	// included: of events, or of questions ("before:user.delete"). Default: any.
	EventType string

	// IncludeDeleted lists deleted ones as well, as long as they are kept.
	IncludeDeleted bool

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// Owner is whose they are. Default: anybody's, also the operator's.
	Owner string

	// Site is where they are. Default: anywhere.
	Site Path

	// State is the state that they are in. Default: any.
	State State

	// Under is a site at which or below which they are. Default: anywhere.
	Under Path
}

func (o ListOpts) withDefaults() ListOpts {
	if o.Limit == 0 {
		o.Limit = defaultListLimit
	}
	o.Under = o.Under.orRoot()
	return o
}

func (o ListOpts) validate() error {
	if o.EventType != "" {
		if err := checkHeard(o.EventType); err != nil {
			return fmt.Errorf("EventType: %w", err)
		}
	}
	if o.Site != "" {
		if _, err := ParsePath(string(o.Site)); err != nil {
			return fmt.Errorf("Site: %w", err)
		}
	}
	if _, err := ParsePath(string(o.Under)); err != nil {
		return fmt.Errorf("Under: %w", err)
	}
	switch o.State {
	case "", StateActive, StateDeactivated, StatePaused, StatePendingVerification:
	default:
		return fmt.Errorf("State: %s is not a state", quoted(string(o.State)))
	}
	if err := checkText(o.Owner, maxIDText); err != nil {
		return fmt.Errorf("Owner: %w", err)
	}
	return checkLimit(o.Limit)
}

func checkLimit(limit int) error {
	if limit < 1 || limit > maxListLimit {
		return fmt.Errorf("Limit: is %d; must be 1 to %d, or 0 for %d", limit, maxListLimit, defaultListLimit)
	}
	return nil
}

// List returns subscriptions in the order of their ids, which is the order of
// their creation. A page that is not full is the last.
func (s *Subscriptions) List(ctx context.Context, opts *ListOpts) ([]Subscription, error) {
	subs, err := s.list(ctx, s.pool, opts)
	return outcome("list subscriptions", subs, err)
}

// ListTx is List in the caller's transaction.
func (s *Subscriptions) ListTx(ctx context.Context, tx pgx.Tx, opts *ListOpts) ([]Subscription, error) {
	subs, err := s.list(ctx, tx, opts)
	return outcome("list subscriptions", subs, err)
}

func (s *Subscriptions) list(ctx context.Context, db store.DBTX, opts *ListOpts) ([]Subscription, error) {
	var o ListOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	var overlaps bool
	if o.Under, overlaps = s.cfg.within(o.Under); !overlaps {
		return nil, nil
	}
	patterns := []string{}
	if o.EventType != "" {
		patterns = Patterns(o.EventType)
	}
	name, prefix := splitType(o.EventType)
	q := s.in(db)
	var rows []store.Subscription
	var err error
	switch {
	case o.Owner != "" && !o.IncludeDeleted:
		rows, err = q.ListSubscriptionsOf(ctx, &store.ListSubscriptionsOfParams{
			After: o.AfterID, EventType: name, MaxRows: o.Limit, Owner: o.Owner,
			Patterns: patterns, Prefix: prefix, Site: string(o.Site), State: string(o.State), Under: string(o.Under),
		})
	case o.Site != "" && o.Under.Contains(o.Site) && !o.IncludeDeleted:
		rows, err = q.ListSubscriptionsAt(ctx, &store.ListSubscriptionsAtParams{
			After: o.AfterID, EventType: name, MaxRows: o.Limit,
			Patterns: patterns, Prefix: prefix, Site: string(o.Site), State: string(o.State),
		})
	default:
		rows, err = q.ListSubscriptions(ctx, &store.ListSubscriptionsParams{
			After: o.AfterID, EventType: name, IncludeDeleted: o.IncludeDeleted, MaxRows: o.Limit, Owner: o.Owner,
			Patterns: patterns, Prefix: prefix, Site: string(o.Site), State: string(o.State), Under: string(o.Under),
		})
	}
	if err != nil {
		return nil, err
	}
	return subscriptionsOf(rows)
}
