package outbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// Enqueue writes an intent in the caller's transaction, by one statement. When
// the transaction commits, engines tell the subscriptions; when it or a
// savepoint around the call rolls back, nothing of the intent remains.
//
// An intent that is refused ([ErrInvalidIntent], [ErrIDConflict]) leaves the
// transaction usable; any other error has aborted it, as errors in Postgres do.
// Where another transaction has enqueued the same ID and is still open, Enqueue
// waits for its end. Under REPEATABLE READ and SERIALIZABLE that wait can end
// with SQLSTATE 40001, after which the whole transaction is to be run again.
//
// The statement calls a function of the schema, enqueue_one (enqueue_batch for several), which
// notices an ID that is taken; the functions are in internal/migration/sql/functions.
func (c *Client) Enqueue(ctx context.Context, tx pgx.Tx, in Intent) (Result, error) {
	return single(c.EnqueueMany(ctx, tx, []Intent{in}))
}

// EnqueueMany is Enqueue for any number of intents, still by one statement: all
// of them are written or none. The results are in the order of the intents. No
// intents are no statement.
//
// Intents with the same ID in one call are as if one were enqueued after the
// other. Two calls with the same IDs in any order do not deadlock.
func (c *Client) EnqueueMany(ctx context.Context, tx pgx.Tx, in []Intent) ([]Result, error) {
	records, notify, err := c.prepare(ctx, in)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	if tx == nil {
		return nil, errNoTx
	}
	rows, err := c.enqueue(ctx, tx, records, notify)
	if err != nil {
		return nil, err
	}
	return results(rows, len(in))
}

func (c *Client) enqueue(ctx context.Context, tx pgx.Tx, records []*record, notify bool) ([]store.EnqueueBatchRow, error) {
	q := store.Plain(tx, c.cfg.Schema)
	if len(records) == 1 {
		params, err := c.forOne(records[0], notify)
		if err != nil {
			return nil, err
		}
		row, err := q.EnqueueOne(ctx, params)
		if err != nil {
			return nil, c.databaseError(err)
		}
		return []store.EnqueueBatchRow{{
			Ord:     1,
			WireID:  row.WireID,
			Outcome: row.Outcome,
			Field:   row.Field,
			Reason:  row.Reason,
		}}, nil
	}
	params, err := c.forMany(records, notify)
	if err != nil {
		return nil, err
	}
	rows, err := q.EnqueueBatch(ctx, params)
	if err != nil {
		return nil, c.databaseError(err)
	}
	return rows, nil
}

var errNoTx = errors.New("outbox: enqueue: the transaction is nil")

func single(all []Result, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return all[0], nil
}

// results reads the rows that enqueue_one or enqueue_batch returned for n intents.
func results(rows []store.EnqueueBatchRow, n int) ([]Result, error) {
	all := make([]Result, n)
	seen := 0
	var refused *store.EnqueueBatchRow
	for i, row := range rows {
		switch {
		case row.Ord < 1 || row.Ord > n:
			return nil, fmt.Errorf("outbox: enqueue: the database answered for intent %d of %d", row.Ord, n)
		case row.Outcome == "inserted", row.Outcome == "duplicate":
			seen++
			all[row.Ord-1] = Result{ID: row.WireID, Duplicate: row.Outcome == "duplicate"}
		case refused == nil || row.Ord < refused.Ord:
			refused = &rows[i]
		}
	}
	switch {
	case refused != nil && refused.Outcome == "conflict":
		return nil, &IDConflictError{Index: refused.Ord - 1, ID: refused.WireID}
	case refused != nil:
		return nil, &InvalidIntentError{
			Index:  refused.Ord - 1,
			Field:  refused.Field,
			Reason: refused.Reason,
		}
	case seen != n:
		return nil, fmt.Errorf("outbox: enqueue: the database answered for %d of %d intents", seen, n)
	}
	return all, nil
}
