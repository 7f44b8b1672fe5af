package delivery

import (
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// Tx is what an engine does in a transaction of the caller's: nothing is sent before the
// commit, and a rollback undoes it. An error of this package's own leaves the transaction
// usable. It is valid until the transaction ends.
type Tx struct {
	handle  *Handle
	queries *store.Queries
}

// Redeliver is that of [Handle].
func (t *Tx) Redeliver(ctx context.Context, delivery uuid.UUID) error {
	return t.handle.redeliver(ctx, t.queries, delivery)
}

// Cancel is that of [Handle].
func (t *Tx) Cancel(ctx context.Context, delivery uuid.UUID, reason string) error {
	return t.handle.cancel(ctx, t.queries, delivery, reason)
}
