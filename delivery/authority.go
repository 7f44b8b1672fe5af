package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// judgeStep is about how many subscriptions the authorizer is asked in one call.
const judgeStep = 500

// authority is a principal and those who say what it may do.
type authority struct {
	auth      access.Authorizer
	principal string
}

func newAuthority(principal string, auth access.Authorizer) *authority {
	return &authority{auth: auth, principal: principal}
}

func (a *authority) action(row store.Subscription, verb access.Verb) access.Action {
	return subscription.Subscription{
		ID:          row.ID,
		Site:        hierarchy.Path(row.Site),
		URL:         row.URL,
		Events:      row.Events,
		Channels:    row.Channels,
		Owner:       row.Owner,
		Operator:    row.Operator,
		Permission:  row.Permission,
		Filter:      row.Filter,
		FailClosed:  row.FailClosed,
		Timeout:     time.Duration(row.TimeoutMs) * time.Millisecond,
		MaxInFlight: row.MaxInFlight,
		Rate: subscription.Rate{
			Events: row.RateEvents,
			Per:    time.Duration(row.RatePerMs) * time.Millisecond,
			Burst:  row.RateBurst,
		},
	}.Action(a.principal, verb)
}

// judged asks the authorizer about subscriptions, in one call.
func (a *authority) judged(ctx context.Context, rows []store.Subscription) ([]string, error) {
	actions := make([]access.Action, 0, 2*len(rows))
	for _, row := range rows {
		actions = append(actions, a.action(row, access.VerbView), a.action(row, access.VerbHistory))
	}
	answers := access.AuthorizeAll(ctx, a.auth, actions)
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

// allowed asks whether a subscription may be seen and this may be done with it. The
// application may do everything.
func (v *View) allowed(ctx context.Context, q *store.Queries, id uuid.UUID, verb access.Verb) error {
	if v.by == nil {
		return nil
	}
	rows, err := q.GetSubscriptions(ctx, store.UUIDs([]uuid.UUID{id}))
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return ErrNotFound
	}
	answers := access.AuthorizeAll(ctx, v.by.auth, []access.Action{v.by.action(rows[0], access.VerbView), v.by.action(rows[0], verb)})
	if errors.Is(answers[0], access.ErrDenied) {
		return ErrNotFound
	}
	if answers[0] != nil {
		return answers[0]
	}
	return answers[1]
}

// allowedDelivery asks whether a delivery may be seen, if it is there.
func (v *View) allowedDelivery(ctx context.Context, id uuid.UUID) error {
	if v.by == nil {
		return nil
	}
	_, err := v.Delivery(ctx, id)
	return err
}

// confine leaves of a list the deliveries that may be seen, and says whether there can be none.
func (v *View) confine(ctx context.Context, params *store.ListDeliveriesParams) (hidden bool, err error) {
	switch {
	case v.by == nil:
		return false, nil
	case params.SubscriptionID != nil:
		return false, v.allowed(ctx, v.store, *params.SubscriptionID, access.VerbHistory)
	default:
		params.Subscriptions, err = v.shown(ctx, params.Owner)
		return len(params.Subscriptions) == 0, err
	}
}

// hide leaves out of an attempt what is for the operator alone, if a principal sees it.
func (v *View) hide(a *Attempt) {
	if v.by != nil {
		hideHost(a)
	}
}

// shown are the subscriptions of an owner, or of everybody, whose history may be seen.
func (v *View) shown(ctx context.Context, owner string) ([]string, error) {
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
		rows, err := v.store.ListSubscriptions(ctx, list)
		if err != nil {
			return nil, err
		}
		step, err := v.by.judged(ctx, rows)
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
func (v *View) shownOf(ctx context.Context, ids []uuid.UUID) ([]string, error) {
	var shown []string
	for chunk := range slices.Chunk(ids, judgeStep) {
		rows, err := v.store.GetSubscriptions(ctx, store.UUIDs(chunk))
		if err != nil {
			return nil, err
		}
		step, err := v.by.judged(ctx, rows)
		if err != nil {
			return nil, err
		}
		shown = append(shown, step...)
	}
	return shown, nil
}
