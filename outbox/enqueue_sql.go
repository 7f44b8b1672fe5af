package outbox

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

// EnqueueSQL is [Client.Enqueue] for a transaction of database/sql, or of a library
// built on it. It works with pgx's driver and with lib/pq.
func (c *Client) EnqueueSQL(ctx context.Context, tx Querier, in Intent) (Result, error) {
	return single(c.EnqueueManySQL(ctx, tx, []Intent{in}))
}

// EnqueueManySQL is [Client.EnqueueMany] for a transaction of database/sql.
func (c *Client) EnqueueManySQL(ctx context.Context, tx Querier, in []Intent) ([]Result, error) {
	records, notify, err := c.prepare(ctx, in)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	if err := txn.CheckQuerier(tx); err != nil {
		return nil, fmt.Errorf("outbox: enqueue: %w", err)
	}
	rows, err := c.enqueueSQL(ctx, tx, records, notify)
	if err != nil {
		return nil, err
	}
	return results(rows, len(in))
}

// enqueueSQL calls enqueue_batch for one intent too: one place reads its rows
// from database/sql.
func (c *Client) enqueueSQL(ctx context.Context, tx Querier, records []*record, notify bool) ([]store.EnqueueBatchRow, error) {
	params, err := c.forMany(records, notify)
	if err != nil {
		return nil, err
	}
	rows, err := enqueueBatchSQL(ctx, tx, c.cfg.Schema, params)
	if err != nil {
		return nil, c.databaseError(err)
	}
	return rows, nil
}

func enqueueBatchSQL(
	ctx context.Context, tx Querier, schema string, params *store.EnqueueBatchParams,
) (all []store.EnqueueBatchRow, err error) {
	rows, err := tx.QueryContext(ctx, store.EnqueueBatchSQL(schema),
		params.Intents, params.Client, params.MaxBytes, params.Checked, params.Notify)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells what Close would
	for rows.Next() {
		var row store.EnqueueBatchRow
		if err := rows.Scan(&row.Ord, &row.WireID, &row.Outcome, &row.Field, &row.Reason); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
