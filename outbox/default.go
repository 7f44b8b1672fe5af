package outbox

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

var (
	zeroClient    = newClient((*Config)(nil).withDefaults())
	defaultClient atomic.Pointer[Client]
)

// Default returns the Client behind the functions of this package: that of the
// last SetDefault, or one with the zero Config.
func Default() *Client {
	if c := defaultClient.Load(); c != nil {
		return c
	}
	return zeroClient
}

// SetDefault makes c the Client behind the functions of this package, for the
// whole process. Call it before the first of them; nil brings the Client with
// the zero Config back.
func SetDefault(c *Client) { defaultClient.Store(c) }

// Enqueue is [Client.Enqueue] of the default Client.
func Enqueue(ctx context.Context, tx pgx.Tx, in Intent) (Result, error) {
	return Default().Enqueue(ctx, tx, in)
}

// EnqueueMany is [Client.EnqueueMany] of the default Client.
func EnqueueMany(ctx context.Context, tx pgx.Tx, in []Intent) ([]Result, error) {
	return Default().EnqueueMany(ctx, tx, in)
}

// EnqueueManySQL is [Client.EnqueueManySQL] of the default Client.
func EnqueueManySQL(ctx context.Context, tx Querier, in []Intent) ([]Result, error) {
	return Default().EnqueueManySQL(ctx, tx, in)
}

// EnqueueSQL is [Client.EnqueueSQL] of the default Client.
func EnqueueSQL(ctx context.Context, tx Querier, in Intent) (Result, error) {
	return Default().EnqueueSQL(ctx, tx, in)
}
