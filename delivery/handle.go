package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/ping"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
	"github.com/riverhook/riverhook/subscription"
)

// Handle is an engine in the hands of the application or of one principal: a [View] of the
// history, and what is sent again, ended or tried for a subscription. The application has
// that of its [Engine], which may do everything. [Engine.As] returns that of a principal:
// each method first asks an [access.Authorizer] whether the principal may do that. A Handle
// is safe for concurrent use and costs nothing to make.
//
// These are the rights that a principal needs:
//
//   - [access.VerbHistory]: Attempts, Deliveries, Delivery, Explain, Health and Message.
//   - [access.VerbSecret]: ConfirmSecret.
//   - [access.VerbSend]: Cancel, Ping, Recover, Redeliver and VerifyEndpoint.
//
// Of what concerns a subscription that the principal may not view the error is
// [ErrNotFound]; of what else it may not do, an [access.ErrDenied]. An Attempt is returned
// to a principal without what is for the operator alone. Subscriptions themselves are
// changed by a subscription.Handle.
type Handle struct {
	View

	engine     string // its Config.ID
	learnClock func(ctx context.Context, within time.Duration) error
	log        *slog.Logger
	pinger     *ping.Pinger
	subs       *subscription.Store
	verifier   *verify.Verifier
}

// As returns the engine in the hands of a principal, as auth allows. A nil auth and the
// principal "" are denied everything.
func (e *Engine) As(principal string, auth access.Authorizer) *Handle {
	h := e.Handle
	h.by = newAuthority(principal, auth)
	return &h
}

// In returns what is done in a transaction of the caller's. An authorizer is asked while
// that is open.
func (h *Handle) In(tx pgx.Tx) *Tx { return h.inScope(txn.Scope{}.In(tx)) }

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (h *Handle) InSQL(tx hierarchy.Querier) *Tx { return h.inScope(txn.Scope{}.InSQL(tx)) }

func (h *Handle) inScope(s txn.Scope) *Tx {
	return &Tx{handle: h, queries: store.In(s.DB(), h.schema)}
}

// allowedOn asks whether a delivery may be sent again or ended.
func (h *Handle) allowedOn(ctx context.Context, q *store.Queries, delivery uuid.UUID) error {
	if h.by == nil {
		return nil
	}
	subscriptions, err := q.SubscriptionOfDelivery(ctx, delivery)
	if err != nil {
		return err
	}
	if len(subscriptions) == 0 {
		return ErrNotFound
	}
	return h.allowed(ctx, q, subscriptions[0], access.VerbSend)
}
