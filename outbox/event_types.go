package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
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
	// After is the name behind which the list begins. Empty: at the first.
	After string

	// Limit is the most types to return, from 1 to 1000. 0: 100.
	Limit int
}

// EventTypes is the store of event types. It is safe for concurrent use.
type EventTypes struct {
	pool   *pgxpool.Pool
	schema string
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
	return &EventTypes{pool: pool, schema: schema}, nil
}

// Get returns the type of this name, or [ErrNotFound].
func (e *EventTypes) Get(ctx context.Context, name string) (EventType, error) {
	return e.get(ctx, e.pool, name)
}

// GetTx is Get in the caller's transaction.
func (e *EventTypes) GetTx(ctx context.Context, tx pgx.Tx, name string) (EventType, error) {
	return e.get(ctx, tx, name)
}

func (e *EventTypes) get(ctx context.Context, db store.DBTX, name string) (EventType, error) {
	if notText(name) != "" { // Postgres would end the transaction over it
		return EventType{}, fmt.Errorf("outbox: event type %.80q: %w", name, ErrNotFound)
	}
	row, err := store.In(db, e.schema).GetEventType(ctx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		return EventType{}, fmt.Errorf("outbox: event type %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return EventType{}, fmt.Errorf("outbox: get event type: %w", err)
	}
	return eventTypeOf(&row), nil
}

// List returns the registered types in the order of their names' bytes. A nil
// opts is the zero ListEventTypesOpts.
func (e *EventTypes) List(ctx context.Context, opts *ListEventTypesOpts) ([]EventType, error) {
	return e.list(ctx, e.pool, opts)
}

// ListTx is List in the caller's transaction.
func (e *EventTypes) ListTx(ctx context.Context, tx pgx.Tx, opts *ListEventTypesOpts) ([]EventType, error) {
	return e.list(ctx, tx, opts)
}

func (e *EventTypes) list(ctx context.Context, db store.DBTX, opts *ListEventTypesOpts) ([]EventType, error) {
	var o ListEventTypesOpts
	if opts != nil {
		o = *opts
	}
	limit := cmp.Or(o.Limit, defaultListLimit)
	if limit < 1 || limit > largestListLimit {
		return nil, fmt.Errorf("outbox: ListEventTypesOpts.Limit: %d is not between 1 and %d", limit, largestListLimit)
	}
	if reason := notText(o.After); reason != "" {
		return nil, fmt.Errorf("outbox: ListEventTypesOpts.After: %s", reason)
	}
	rows, err := store.In(db, e.schema).ListEventTypes(ctx, &store.ListEventTypesParams{After: o.After, MaxRows: limit})
	if err != nil {
		return nil, fmt.Errorf("outbox: list event types: %w", err)
	}
	types := make([]EventType, len(rows))
	for i := range rows {
		types[i] = eventTypeOf(&rows[i])
	}
	return types, nil
}

// Register writes types, all or none; one that is there already gets the new
// Description and Extends. Where nothing changes it only reads, so a program can
// register its types whenever it starts. The error is [ErrInvalidEventType]
// where a type is refused.
func (e *EventTypes) Register(ctx context.Context, types ...EventType) error {
	err := pgx.BeginTxFunc(ctx, e.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return e.register(ctx, tx, types)
	})
	if err != nil && !errors.Is(err, ErrInvalidEventType) {
		return fmt.Errorf("outbox: register event types: %w", err)
	}
	return err
}

// RegisterTx is Register in the caller's transaction, which must be of READ
// COMMITTED, so that it sees what others have registered. Where something
// changes, other transactions that register wait for its end. After [ErrInvalidEventType]
// the transaction is usable, and nothing of the call remains.
func (e *EventTypes) RegisterTx(ctx context.Context, tx pgx.Tx, types ...EventType) error {
	err := e.register(ctx, tx, types)
	if err != nil && !errors.Is(err, ErrInvalidEventType) {
		return fmt.Errorf("outbox: register event types: %w", err)
	}
	return err
}

func (e *EventTypes) register(ctx context.Context, tx pgx.Tx, types []EventType) error {
	for i := range types {
		if err := types[i].validate(); err != nil {
			return err
		}
	}
	q := store.In(tx, e.schema)
	known, err := registered(ctx, q)
	if err != nil || unchanged(known, types) {
		return err
	}
	if err := q.LockEventTypes(ctx); err != nil {
		return err
	}
	if known, err = registered(ctx, q); err != nil {
		return err
	}
	patterns, err := newPatterns(known, types)
	if err != nil {
		return err
	}
	for _, t := range types {
		if err := q.PutEventType(ctx, &store.PutEventTypeParams{
			Name: t.Name, Description: t.Description, Extends: append([]string{}, t.Extends...),
		}); err != nil {
			return err
		}
	}
	for name, p := range patterns {
		if err := q.SetUmbrellaPatterns(ctx, &store.SetUmbrellaPatternsParams{Name: name, Patterns: p}); err != nil {
			return err
		}
	}
	return nil
}

func registered(ctx context.Context, q *store.Queries) (map[string]store.EventType, error) {
	rows, err := q.ListAllEventTypes(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[string]store.EventType, len(rows))
	for _, row := range rows {
		known[row.Name] = row
	}
	return known, nil
}

func unchanged(known map[string]store.EventType, types []EventType) bool {
	for _, t := range types {
		row, ok := known[t.Name]
		if !ok || row.Description != t.Description || !slices.Equal(row.Extends, t.Extends) {
			return false
		}
	}
	return true
}

// newPatterns returns the umbrella patterns of the types for which they change
// when types are registered: those themselves and all that extend them.
func newPatterns(known map[string]store.EventType, types []EventType) (map[string][]string, error) {
	graph := extensions{}
	for name, row := range known {
		graph[name] = row.Extends
	}
	for _, t := range types {
		graph[t.Name] = t.Extends
	}
	// A cycle has one of the new types in it: it is found and named first.
	names := make([]string, 0, len(graph)+len(types))
	for _, t := range types {
		names = append(names, t.Name)
	}
	names = slices.AppendSeq(names, maps.Keys(graph))

	changed := map[string][]string{}
	for _, name := range names {
		umbrellas, err := graph.umbrellas(name)
		if err != nil {
			return nil, err
		}
		patterns := umbrellaPatterns(umbrellas)
		if row, ok := known[name]; !ok || !slices.Equal(row.UmbrellaPatterns, patterns) {
			changed[name] = patterns
		}
	}
	return changed, nil
}
