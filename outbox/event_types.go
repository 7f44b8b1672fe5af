package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

const (
	defaultListLimit = 100
	largestListLimit = 1000
)

// EventTypesConfig configures [EventTypes].
type EventTypesConfig struct {
	// Schema is as in Config. Empty: "riverhook".
	Schema string
}

// ListEventTypesOpts are options of [EventTypes.List].
type ListEventTypesOpts struct {
	// Cursor is the Next of the page before. Empty: the list begins with the first.
	Cursor string

	// IncludeArchived lists archived types too.
	IncludeArchived bool

	// Limit is the most types to return, from 1 to 1000. 0: 100.
	Limit int
}

// EventTypePage is a page of a list of event types.
type EventTypePage struct {
	EventTypes []EventType `json:"event_types"`

	// Next is the Cursor of the page that follows; "": this one is the last.
	Next string `json:"next,omitempty"`
}

// EventTypes is the store of event types. It is safe for concurrent use. Each change is a
// transaction of its own; [EventTypes.In] returns the store in a transaction of the caller's.
type EventTypes struct {
	registry *registry // of the client that gave it out; nil is none
	schema   string
	scope    txn.Scope
}

// NewEventTypes returns the store in the database of pool. A nil cfg is the
// zero EventTypesConfig.
func NewEventTypes(pool *pgxpool.Pool, cfg *EventTypesConfig) (*EventTypes, error) {
	var full EventTypesConfig
	if cfg != nil {
		full = *cfg
	}
	schema := cmp.Or(full.Schema, store.DefaultSchema)
	if err := store.CheckSchema(schema); err != nil {
		return nil, fmt.Errorf("outbox: EventTypesConfig.Schema: %w", err)
	}
	if pool == nil {
		return nil, errors.New("outbox: event types: the pool is nil")
	}
	return &EventTypes{schema: schema, scope: txn.Of(pool)}, nil
}

// In returns the same store in a transaction of the caller's, until that ends. Register needs
// READ COMMITTED there, so that it sees what others have registered; others that register
// wait for the end of the transaction if something changes. An error of this package's own
// leaves the transaction usable, and nothing of the call remains.
func (e *EventTypes) In(tx pgx.Tx) *EventTypes {
	in := *e
	in.scope = e.scope.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (e *EventTypes) InSQL(tx Querier) *EventTypes {
	in := *e
	in.scope = e.scope.InSQL(tx)
	return &in
}

// Get returns the type of this name, archived or not, or [ErrNotFound].
func (e *EventTypes) Get(ctx context.Context, name string) (EventType, error) {
	return e.get(ctx, e.scope.DB(), name)
}

func (e *EventTypes) get(ctx context.Context, db store.DBTX, name string) (EventType, error) {
	if notText(name) != "" { // Postgres would end the transaction over it
		return EventType{}, fmt.Errorf("outbox: event type %.80q: %w", name, ErrNotFound)
	}
	q := store.In(db, e.schema)
	row, err := q.GetEventType(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return EventType{}, fmt.Errorf("outbox: event type %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return EventType{}, fmt.Errorf("outbox: get event type: %w", err)
	}
	types, err := withSchemas(ctx, q, []store.EventType{row})
	if err != nil {
		return EventType{}, fmt.Errorf("outbox: get event type: %w", err)
	}
	return types[0], nil
}

// List returns a page of the registered types that are not archived, in the order of
// their names' bytes. A nil opts is the zero ListEventTypesOpts.
func (e *EventTypes) List(ctx context.Context, opts *ListEventTypesOpts) (*EventTypePage, error) {
	return e.list(ctx, e.scope.DB(), opts)
}

func (e *EventTypes) list(ctx context.Context, db store.DBTX, opts *ListEventTypesOpts) (*EventTypePage, error) {
	var o ListEventTypesOpts
	if opts != nil {
		o = *opts
	}
	limit := cmp.Or(o.Limit, defaultListLimit)
	if limit < 1 || limit > largestListLimit {
		return nil, fmt.Errorf("outbox: ListEventTypesOpts.Limit: %d is not between 1 and %d", limit, largestListLimit)
	}
	after, err := cursor.EventTypes.Text(o.Cursor)
	if err == nil && notText(after) != "" {
		err = cursor.ErrInvalid
	}
	if err != nil {
		return nil, fmt.Errorf("outbox: ListEventTypesOpts.Cursor: %w", err)
	}
	q := store.In(db, e.schema)
	rows, err := q.ListEventTypes(ctx, &store.ListEventTypesParams{
		After:           after,
		IncludeArchived: o.IncludeArchived,
		MaxRows:         limit + 1,
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: list event types: %w", err)
	}
	types, err := withSchemas(ctx, q, rows)
	if err != nil {
		return nil, fmt.Errorf("outbox: list event types: %w", err)
	}
	page := &EventTypePage{}
	page.EventTypes, page.Next = cursor.Page(types, limit, func(last EventType) string { return cursor.EventTypes.OfText(last.Name) })
	return page, nil
}

// Register writes types, all or none; one that is there already gets the new
// Description, Extends, Payloads and PayloadAge, and the Schemas that it does not have yet. A version
// that it has may come with another Example, and is refused with another Schema.
// Where nothing changes Register only reads, so a program can register its types
// whenever it starts. The error is [ErrInvalidEventType] where a type is refused.
func (e *EventTypes) Register(ctx context.Context, types ...EventType) error {
	_, err := txn.Run(ctx, e.scope, func(tx pgx.Tx) (struct{}, error) { return struct{}{}, e.register(ctx, tx, types) })
	e.changed()
	if err != nil && !errors.Is(err, ErrInvalidEventType) {
		return fmt.Errorf("outbox: register event types: %w", err)
	}
	return err
}

// changed says that something is, or may be, other than it was; in a transaction of the
// caller's it is not before the commit.
func (e *EventTypes) changed() {
	if e.registry != nil && !e.scope.IsTx() {
		e.registry.forget()
	}
}

func (e *EventTypes) register(ctx context.Context, tx pgx.Tx, types []EventType) error {
	types = slices.Clone(types)
	for i := range types {
		types[i].Schemas = slices.Clone(types[i].Schemas) // validate fills in their drafts
		if err := types[i].validate(); err != nil {
			return err
		}
	}
	q := store.In(tx, e.schema)
	known, err := registered(ctx, q, types)
	if err != nil {
		return err
	}
	c, err := known.changes(types)
	if err != nil || c.none() {
		return err
	}
	if err := q.LockEventTypes(ctx); err != nil {
		return err
	}
	if known, err = registered(ctx, q, types); err != nil {
		return err
	}
	if c, err = known.changes(types); err != nil {
		return err
	}
	return c.write(ctx, q)
}
