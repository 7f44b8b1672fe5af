package delivery

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
)

// View is the history in the hands of the application, which sees all of it (see
// [History]), or of one principal ([History.As]): it shows what became of events for the
// subscriptions of which an [access.Authorizer] lets the principal see the history
// (access.VerbHistory). It is safe for concurrent use and costs nothing to make.
//
// What it returns never holds a secret: URLs are without user, password and query, and
// headers that carry credentials are redacted. Bodies are what was sent and answered: who
// may see them is for the application to decide.
//
// For a principal the authorizer is asked for each subscription as it is now, or was when
// it was deleted, while no connection of Riverhook is held. Of subscriptions that the
// principal may not view everything is [ErrNotFound]; of those that it may view without
// their history, an [access.ErrDenied]; lists leave both out.
//
// A principal is not shown what is for the operator alone: Attempt.Reason and
// Attempt.Engine. If a checker, an authorizer of the host, an externalizer or another part
// of the host has failed, texts say in which class of ways, and name a reference by which
// an operator finds the error: the id of the delivery, or the ids of the event and of the
// subscription.
type View struct {
	by       *authority // nil: the application
	pool     *pgxpool.Pool
	resolver *resolve.Resolver
	schema   string
	store    *store.Queries
}

func newView(pool *pgxpool.Pool, schema string, resolver *resolve.Resolver) View {
	return View{
		pool:     pool,
		resolver: resolver,
		schema:   schema,
		store:    store.In(pool, schema),
	}
}

// Deliveries returns a page of deliveries, newest first. Page by page, each delivery
// that was there at the first page is returned once. nil lists all.
//
// For a principal the authorizer is asked first, for each subscription that SubscriptionID
// and Owner leave, and the deliveries are then those of the ones that may be seen: neither
// a page nor its Next depends on what others are sent. With a SubscriptionID the error says
// so if that may not be seen.
func (v *View) Deliveries(ctx context.Context, filter *DeliveryFilter) (*DeliveryPage, error) {
	params, err := filter.params()
	hidden := false
	if err == nil {
		hidden, err = v.confine(ctx, params)
	}
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	if hidden {
		return &DeliveryPage{}, nil
	}
	found, err := v.deliveries(ctx, params)
	if err != nil {
		return nil, err
	}
	page := &DeliveryPage{}
	page.Deliveries, page.Next = cursor.Page(found, params.MaxRows-1, func(last Delivery) string { return cursor.Deliveries.OfID(last.ID) })
	return page, nil
}

// deliveries are as whoever holds the view may see them.
func (v *View) deliveries(ctx context.Context, params *store.ListDeliveriesParams) ([]Delivery, error) {
	rows, err := store.Filtering(v.pool, v.schema).ListDeliveries(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("delivery: list deliveries: %w", migration.Explain(err))
	}
	out := make([]Delivery, len(rows))
	for i, row := range rows {
		out[i] = newDelivery(row)
		if v.by != nil {
			out[i].forOwner()
		}
	}
	return out, nil
}

// Delivery returns one delivery, or ErrNotFound.
func (v *View) Delivery(ctx context.Context, id uuid.UUID) (*Delivery, error) {
	found, err := v.deliveries(ctx, &store.ListDeliveriesParams{
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
	if err := v.allowed(ctx, v.store, found[0].SubscriptionID, access.VerbHistory); err != nil {
		return nil, fmt.Errorf("delivery: delivery %s: %w", id, err)
	}
	return &found[0], nil
}

// Attempts returns the attempts of a delivery, oldest first; none for one that
// is not there, which for a principal is ErrNotFound.
func (v *View) Attempts(ctx context.Context, delivery uuid.UUID) ([]Attempt, error) {
	if err := v.allowedDelivery(ctx, delivery); err != nil {
		return nil, err
	}
	rows, err := v.store.ListAttempts(ctx, delivery)
	if err != nil {
		return nil, fmt.Errorf("delivery: list attempts: %w", migration.Explain(err))
	}
	out := make([]Attempt, len(rows))
	for i, row := range rows {
		if out[i], err = newAttempt(row); err != nil {
			return nil, fmt.Errorf("delivery: attempts of delivery %s: %w", delivery, err)
		}
		v.hide(&out[i])
	}
	return out, nil
}

// Message returns what each attempt of a delivery sends, or ErrNotFound.
func (v *View) Message(ctx context.Context, delivery uuid.UUID) (*Message, error) {
	if err := v.allowedDelivery(ctx, delivery); err != nil {
		return nil, err
	}
	rows, err := v.store.GetMessage(ctx, delivery)
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
