package subscription

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// ListOpts narrows a listing. Those that are given must all hold.
type ListOpts struct {
	// Channel is a channel whose events the subscription would hear: it names the
	// channel, or none. Default: any.
	Channel string

	// Cursor is the Next of the page before. Default: the list begins with the newest.
	Cursor string

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
	Site hierarchy.Path

	// State is the state that they are in. Default: any.
	State State

	// Under is a site at which or below which they are. Default: anywhere.
	Under hierarchy.Path
}

// Page is a page of a list of subscriptions.
type Page struct {
	Subscriptions []Subscription `json:"subscriptions"`

	// Next is the Cursor of the page that follows; "": this one is the last. It tells
	// nothing about what is not on the page.
	Next string `json:"next,omitempty"`
}

func (o ListOpts) withDefaults() ListOpts {
	if o.Limit == 0 {
		o.Limit = cursor.DefaultLimit
	}
	o.Under = sitetree.OrRoot(o.Under)
	return o
}

func (o ListOpts) validate() error {
	if o.EventType != "" {
		if err := eventtype.Check(o.EventType); err != nil {
			return fmt.Errorf("EventType: %w", err)
		}
	}
	if o.Site != "" {
		if _, err := hierarchy.ParsePath(string(o.Site)); err != nil {
			return fmt.Errorf("Site: %w", err)
		}
	}
	if _, err := hierarchy.ParsePath(string(o.Under)); err != nil {
		return fmt.Errorf("Under: %w", err)
	}
	switch o.State {
	case "", StateActive, StateDeactivated, StatePaused, StatePendingVerification:
	default:
		return fmt.Errorf("State: %s is not a state", text.Quote(string(o.State)))
	}
	if err := text.Check(o.Channel, text.MaxID); err != nil {
		return fmt.Errorf("Channel: %w", err)
	}
	if err := text.Check(o.Owner, text.MaxID); err != nil {
		return fmt.Errorf("Owner: %w", err)
	}
	return cursor.CheckLimit(o.Limit)
}

func (h *Handle) list(ctx context.Context, opts *ListOpts) (*Page, error) {
	o, before, err := checkListOpts(opts)
	if err != nil {
		return nil, err
	}
	step := o.Limit + 1
	if h.by != nil { // not each that is read is on the page
		step = min(max(step, cursor.DefaultLimit), authorizeStep)
	}
	var shown []Subscription
	for {
		subs, err := h.listBefore(ctx, h.db(), o, before, step)
		if err != nil {
			return nil, err
		}
		visible, err := h.visible(ctx, subs)
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

func subscriptionPage(subs []Subscription, limit int) *Page {
	page := &Page{}
	page.Subscriptions, page.Next = cursor.Page(subs, limit, func(last Subscription) string { return cursor.Subscriptions.OfID(last.ID) })
	return page
}

// checkListOpts returns options with their defaults, and the id before which the page is.
func checkListOpts(opts *ListOpts) (ListOpts, uuid.UUID, error) {
	var o ListOpts
	if opts != nil {
		o = *opts
	}
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return o, uuid.Nil, err
	}
	before, err := cursor.Subscriptions.ID(o.Cursor)
	if err != nil {
		return o, uuid.Nil, fmt.Errorf("Cursor: %w", err)
	}
	return o, before, nil
}

// listBefore lists what is older than an id.
func (h *Handle) listBefore(ctx context.Context, db store.DBTX, o ListOpts, before uuid.UUID, limit int) ([]Subscription, error) {
	var overlaps bool
	if o.Under, overlaps = h.cfg.within(o.Under); !overlaps {
		return nil, nil
	}
	patterns := []string{}
	if o.EventType != "" {
		patterns = eventtype.Patterns(o.EventType)
	}
	name, prefix := eventtype.Split(o.EventType)
	q := h.in(db)
	var rows []store.Subscription
	var err error
	switch {
	case o.Owner != "" && !o.IncludeDeleted:
		rows, err = q.ListSubscriptionsOf(ctx, &store.ListSubscriptionsOfParams{
			Before:    before,
			Channel:   o.Channel,
			EventType: name,
			MaxRows:   limit,
			Owner:     o.Owner,
			Patterns:  patterns,
			Prefix:    prefix,
			Site:      string(o.Site),
			State:     string(o.State),
			Under:     string(o.Under),
		})
	case o.Site != "" && o.Under.Contains(o.Site) && !o.IncludeDeleted:
		rows, err = q.ListSubscriptionsAt(ctx, &store.ListSubscriptionsAtParams{
			Before:    before,
			Channel:   o.Channel,
			EventType: name,
			MaxRows:   limit,
			Patterns:  patterns,
			Prefix:    prefix,
			Site:      string(o.Site),
			State:     string(o.State),
		})
	default:
		rows, err = q.ListSubscriptions(ctx, &store.ListSubscriptionsParams{
			Before:         before,
			Channel:        o.Channel,
			EventType:      name,
			IncludeDeleted: o.IncludeDeleted,
			MaxRows:        limit,
			Owner:          o.Owner,
			Patterns:       patterns,
			Prefix:         prefix,
			Site:           string(o.Site),
			State:          string(o.State),
			Under:          string(o.Under),
		})
	}
	if err != nil {
		return nil, err
	}
	return subscriptionsOf(rows)
}
