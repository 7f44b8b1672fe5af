package outbox

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/internal/store"
)

// Archive takes a type out of use: intents of it are refused, and what there is
// of it is delivered, kept and shown as before. A type that is archived stays as
// it is. The error is [ErrNotFound] where no such type is registered.
func (e *EventTypes) Archive(ctx context.Context, name string) error {
	defer e.changed()
	return e.archive(ctx, e.scope.DB(), name)
}

// Unarchive takes a type into use again. The error is as that of Archive.
func (e *EventTypes) Unarchive(ctx context.Context, name string) error {
	defer e.changed()
	return e.unarchive(ctx, e.scope.DB(), name)
}

func (e *EventTypes) archive(ctx context.Context, db store.DBTX, name string) error {
	return changeOne(ctx, name, "archive", store.In(db, e.schema).ArchiveEventType)
}

func (e *EventTypes) unarchive(ctx context.Context, db store.DBTX, name string) error {
	return changeOne(ctx, name, "unarchive", store.In(db, e.schema).UnarchiveEventType)
}

func changeOne(ctx context.Context, name, action string, change func(context.Context, string) (int64, error)) error {
	if notText(name) != "" { // Postgres would end the transaction over it
		return fmt.Errorf("outbox: event type %.80q: %w", name, ErrNotFound)
	}
	changed, err := change(ctx, name)
	if err != nil {
		return fmt.Errorf("outbox: %s event type: %w", action, err)
	}
	if changed == 0 {
		return fmt.Errorf("outbox: event type %q: %w", name, ErrNotFound)
	}
	return nil
}
