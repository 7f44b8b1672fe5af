package manifest

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// application is one manifest being applied in one transaction.
type application struct {
	*Applier

	errs Errors
	m    *Manifest
	plan *Plan
	tx   pgx.Tx
}

// apply locks in the order in which all of this schema do: sites, event types,
// subscriptions in the order of their ids.
func (a *Applier) apply(ctx context.Context, tx pgx.Tx, m *Manifest) (*Plan, error) {
	run := &application{
		Applier: a,
		m:       m,
		plan:    &Plan{Manifest: m.name},
		tx:      tx,
	}
	if err := run.queries().LockManifest(ctx, m.name); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{run.applySites, run.applyEventTypes, run.applySubscriptions} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return run.plan, run.errs.orNil()
}

func (r *application) queries() *store.Queries { return store.In(r.tx, r.schema) }

func (r *application) add(c Change) { r.plan.Changes = append(r.plan.Changes, c) }

// refused notes what a store has refused, and left the transaction usable. Any other
// error is returned.
func (r *application) refused(field string, err error) error {
	var invalid *subscription.InvalidError
	var eventType *outbox.InvalidEventTypeError
	var limit *subscription.LimitError
	var reason string
	switch {
	case errors.As(err, &invalid):
		field, reason = field+"."+snake(invalid.Field), invalid.Reason
	case errors.As(err, &eventType):
		field, reason = field+"."+snake(eventType.Field), eventType.Reason
	case errors.As(err, &limit):
		reason = limit.Error()
	case errors.Is(err, hierarchy.ErrNotFound):
		reason = "the site above it is not there"
	default:
		return err
	}
	if len(r.errs) < maxErrors {
		at := r.m.places.of(field)
		r.errs = append(r.errs, &Error{
			File:   r.m.file,
			Line:   at.line,
			Column: at.column,
			Field:  field,
			Reason: reason,
			err:    err,
		})
	}
	return nil
}
