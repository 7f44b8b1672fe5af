package delivery

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// PrincipalEngine is what one principal may ask of an engine, as an
// [access.Authorizer] allows: a [PrincipalHistory], and what is sent again, ended
// or tried for a subscription. The authorizer is asked right before. Of what
// concerns a subscription that the principal may not view the error is
// [ErrNotFound]; of what else it may not do, an [access.ErrDenied]. Subscriptions
// themselves are changed by a subscription.Handle.
type PrincipalEngine struct {
	*PrincipalHistory

	engine *Engine
}

// As returns what a principal may ask of the engine, as auth allows. A nil auth
// and the principal "" are denied everything.
func (e *Engine) As(principal string, auth access.Authorizer) *PrincipalEngine {
	return &PrincipalEngine{PrincipalHistory: e.History().As(principal, auth), engine: e}
}

// In returns what the principal may do in a transaction of the caller's, until that ends.
// The authorizer is asked while the transaction is open.
func (p *PrincipalEngine) In(tx pgx.Tx) *Tx {
	t := p.engine.In(tx)
	t.principal = p
	return t
}

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (p *PrincipalEngine) InSQL(tx hierarchy.Querier) *Tx {
	t := p.engine.InSQL(tx)
	t.principal = p
	return t
}

// Redeliver is that of [Engine]. It asks for send.
func (p *PrincipalEngine) Redeliver(ctx context.Context, delivery uuid.UUID) error {
	return p.redeliver(ctx, p.engine.store, delivery)
}

// Cancel is that of [Engine]. It asks for send.
func (p *PrincipalEngine) Cancel(ctx context.Context, delivery uuid.UUID, reason string) error {
	return p.cancel(ctx, p.engine.store, delivery, reason)
}

// Recover is that of [Engine]. It asks for send.
func (p *PrincipalEngine) Recover(ctx context.Context, subscription uuid.UUID, opts *RecoverOpts) (int, error) {
	if err := p.allowed(ctx, p.engine.store, subscription, access.VerbSend); err != nil {
		return 0, fmt.Errorf("delivery: recover %s: %w", subscription, err)
	}
	return p.engine.Recover(ctx, subscription, opts)
}

// Ping is that of [Engine], without what is for the operator alone. It asks for
// send.
func (p *PrincipalEngine) Ping(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	if err := p.allowed(ctx, p.engine.store, subscription, access.VerbSend); err != nil {
		return nil, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	return forOwner(p.engine.Ping(ctx, subscription))
}

// PingWith is that of [Engine], without what is for the operator alone. It asks for
// send.
func (p *PrincipalEngine) PingWith(ctx context.Context, subscription uuid.UUID, opts *PingOpts) (*Attempt, int, error) {
	if err := p.allowed(ctx, p.engine.store, subscription, access.VerbSend); err != nil {
		return nil, 0, fmt.Errorf("delivery: ping subscription %s: %w", subscription, err)
	}
	a, released, err := p.engine.PingWith(ctx, subscription, opts)
	a, err = forOwner(a, err)
	return a, released, err
}

// ConfirmSecret is that of [Engine], without what is for the operator alone. It
// asks for secret.
func (p *PrincipalEngine) ConfirmSecret(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	if err := p.allowed(ctx, p.engine.store, subscription, access.VerbSecret); err != nil {
		return nil, fmt.Errorf("delivery: confirm the secret of subscription %s: %w", subscription, err)
	}
	return forOwner(p.engine.ConfirmSecret(ctx, subscription))
}

// VerifyEndpoint is that of [Engine], without what is for the operator alone. It
// asks for send.
func (p *PrincipalEngine) VerifyEndpoint(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	if err := p.allowed(ctx, p.engine.store, subscription, access.VerbSend); err != nil {
		return nil, fmt.Errorf("delivery: verify the endpoint of subscription %s: %w", subscription, err)
	}
	return forOwner(p.engine.VerifyEndpoint(ctx, subscription))
}

func (p *PrincipalEngine) redeliver(ctx context.Context, q *store.Queries, delivery uuid.UUID) error {
	if err := p.allowedOn(ctx, q, delivery); err != nil {
		return fmt.Errorf("delivery: redeliver %s: %w", delivery, err)
	}
	return p.engine.redeliver(ctx, q, delivery)
}

func (p *PrincipalEngine) cancel(ctx context.Context, q *store.Queries, delivery uuid.UUID, reason string) error {
	if err := p.allowedOn(ctx, q, delivery); err != nil {
		return fmt.Errorf("delivery: cancel %s: %w", delivery, err)
	}
	return p.engine.cancel(ctx, q, delivery, reason)
}

// allowedOn asks whether a delivery may be sent again or ended.
func (p *PrincipalEngine) allowedOn(ctx context.Context, q *store.Queries, delivery uuid.UUID) error {
	subscriptions, err := q.SubscriptionOfDelivery(ctx, delivery)
	if err != nil {
		return err
	}
	if len(subscriptions) == 0 {
		return ErrNotFound
	}
	return p.allowed(ctx, q, subscriptions[0], access.VerbSend)
}

func forOwner(a *Attempt, err error) (*Attempt, error) {
	if a != nil {
		hideHost(a)
	}
	return a, err
}
