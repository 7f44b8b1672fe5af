package delivery

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
)

// Errors of what asks for one row, for errors.Is.
var (
	// ErrNotFound is behind the error for a delivery or subscription that is not
	// there: it never was, or was pruned.
	ErrNotFound = notfound.Err

	// ErrIntentNotFound is behind the error for an intent that is not there. It
	// is an ErrNotFound.
	ErrIntentNotFound = fmt.Errorf("%w", ErrNotFound)
)

// HistoryConfig says where a History reads. All of it but Schema matters to
// Explain only, and must then be as in the engine's Config.
type HistoryConfig struct {
	// ActiveChain is that of Config. Default: false.
	ActiveChain bool

	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string

	// Tree is the hierarchy of sites. Default: hierarchy.Paths.
	Tree hierarchy.Tree
}

// History reads what has become of intents. It only reads, needs no engine and
// starts nothing, so that a process that serves people can have one of its own.
// It is safe for concurrent use. What it returns never holds a secret: URLs are
// without user, password and query, and headers that carry credentials are
// redacted. Bodies are what was sent and answered: who may see them is for the
// application to decide.
type History struct {
	batcher  store.Batcher
	pool     *pgxpool.Pool
	resolver *resolve.Resolver
	schema   string
	store    *store.Queries
}

// NewHistory returns a History. cfg may be nil.
func NewHistory(pool *pgxpool.Pool, cfg *HistoryConfig) (*History, error) {
	if pool == nil {
		return nil, errors.New("delivery: new history: the pool is nil")
	}
	c := HistoryConfig{}
	if cfg != nil {
		c = *cfg
	}
	def(&c.Schema, store.DefaultSchema)
	resolver, err := newResolver(pool, &hierarchy.ResolverConfig{
		ActiveChain: c.ActiveChain,
		Schema:      c.Schema,
		Tree:        c.Tree,
	})
	if err != nil {
		return nil, fmt.Errorf("delivery: new history: %w", err)
	}
	return newHistory(pool, c.Schema, resolver), nil
}

func newHistory(pool *pgxpool.Pool, schema string, resolver *resolve.Resolver) *History {
	return &History{
		batcher:  pool,
		pool:     pool,
		resolver: resolver,
		schema:   schema,
		store:    store.In(pool, schema),
	}
}

// History is the history of the engine's schema, by the engine's tree. The
// engine need not run.
func (e *Engine) History() *History { return newHistory(e.pool, e.cfg.Schema, e.resolver) }

// Deliveries returns a page of deliveries, newest first. Page by page, each delivery
// that was there at the first page is returned once. nil lists all.
func (h *History) Deliveries(ctx context.Context, filter *DeliveryFilter) (*DeliveryPage, error) {
	params, err := filter.params()
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	return h.deliveryPage(ctx, params)
}

// deliveryPage is the page for which the parameters have one row more than it may have.
func (h *History) deliveryPage(ctx context.Context, params *store.ListDeliveriesParams) (*DeliveryPage, error) {
	found, err := h.deliveries(ctx, params)
	if err != nil {
		return nil, err
	}
	page := &DeliveryPage{}
	page.Deliveries, page.Next = cursor.Page(found, params.MaxRows-1, func(last Delivery) string { return cursor.Deliveries.OfID(last.ID) })
	return page, nil
}

func (h *History) deliveries(ctx context.Context, params *store.ListDeliveriesParams) ([]Delivery, error) {
	rows, err := store.Filtering(h.batcher, h.schema).ListDeliveries(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	out := make([]Delivery, len(rows))
	for i, row := range rows {
		out[i] = newDelivery(row)
	}
	return out, nil
}

// Delivery returns one delivery, or ErrNotFound.
func (h *History) Delivery(ctx context.Context, id uuid.UUID) (*Delivery, error) {
	found, err := h.deliveries(ctx, &store.ListDeliveriesParams{
		ID:            &id,
		Subscriptions: []string{},
		Before:        uuid.Max,
		MaxRows:       1,
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("delivery: delivery %s: %w", id, ErrNotFound)
	}
	return &found[0], nil
}

// Attempts returns the attempts of a delivery, oldest first; none for one that
// is not there.
func (h *History) Attempts(ctx context.Context, delivery uuid.UUID) ([]Attempt, error) {
	rows, err := h.store.ListAttempts(ctx, delivery)
	if err != nil {
		return nil, fmt.Errorf("delivery: list attempts: %w", migration.Explain(err))
	}
	out := make([]Attempt, len(rows))
	for i, row := range rows {
		if out[i], err = newAttempt(row); err != nil {
			return nil, fmt.Errorf("delivery: attempts of delivery %s: %w", delivery, err)
		}
	}
	return out, nil
}

// Message returns what each attempt of a delivery sends, or ErrNotFound.
func (h *History) Message(ctx context.Context, delivery uuid.UUID) (*Message, error) {
	rows, err := h.store.GetMessage(ctx, delivery)
	if err != nil {
		return nil, fmt.Errorf("delivery: get message: %w", migration.Explain(err))
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("delivery: message of delivery %s: %w", delivery, ErrNotFound)
	}
	msg := &Message{
		ContentType: rows[0].ContentType,
		Body:        rows[0].Body,
		Gone:        rows[0].Gone,
		SHA256:      hex.EncodeToString(rows[0].BodySha256),
	}
	if err := json.Unmarshal(rows[0].Headers, &msg.Headers); err != nil {
		return nil, fmt.Errorf("delivery: message of delivery %s: %w", delivery, err)
	}
	return msg, nil
}
