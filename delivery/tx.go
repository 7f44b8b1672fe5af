package delivery

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

// Tx is what an engine does in a transaction of the caller's: nothing is sent before the
// commit, and a rollback undoes it. An error of this package's own leaves the transaction
// usable. It is valid until the transaction ends.
type Tx struct {
	engine    *Engine
	principal *PrincipalEngine // who asks for it; nil: nobody's rights are checked
	queries   *store.Queries
}

// In returns what the engine does in a transaction of the caller's.
func (e *Engine) In(tx pgx.Tx) *Tx { return e.inScope(txn.Scope{}.In(tx)) }

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (e *Engine) InSQL(tx hierarchy.Querier) *Tx { return e.inScope(txn.Scope{}.InSQL(tx)) }

func (e *Engine) inScope(s txn.Scope) *Tx {
	return &Tx{engine: e, queries: store.In(s.DB(), e.cfg.Schema)}
}

// Redeliver is that of [Engine].
func (t *Tx) Redeliver(ctx context.Context, delivery uuid.UUID) error {
	if t.principal != nil {
		return t.principal.redeliver(ctx, t.queries, delivery)
	}
	return t.engine.redeliver(ctx, t.queries, delivery)
}

// Cancel is that of [Engine].
func (t *Tx) Cancel(ctx context.Context, delivery uuid.UUID, reason string) error {
	if t.principal != nil {
		return t.principal.cancel(ctx, t.queries, delivery, reason)
	}
	return t.engine.cancel(ctx, t.queries, delivery, reason)
}
