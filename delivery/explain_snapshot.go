package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

// inSnapshot has f read what is there at one moment. No host code may run in it.
func (v *View) inSnapshot(ctx context.Context, f func(v *View) error) error {
	opts := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, v.pool, opts, func(tx pgx.Tx) error { //nolint:wrapcheck // f has said what it did
		there := *v
		there.store = store.In(tx, v.schema)
		return f(&there)
	})
}

// readState reads where an intent stands now.
func (v *View) readState(ctx context.Context, in *IntentRecord) error {
	rows, err := v.store.GetIntentState(ctx, in.Key)
	if err != nil {
		return fmt.Errorf("delivery: explain: %w", err)
	}
	for _, row := range rows { // none: it was pruned meanwhile
		in.State = IntentState(row.State)
		in.Reason = row.Reason
		in.EndedAt = row.EndedAt
	}
	return nil
}

// notBefore says when the expansion of an intent was to begin; "" is at once.
func (in *IntentRecord) notBefore() string {
	if in.NotBefore == nil {
		return ""
	}
	return ", which is not to begin before " + clock(*in.NotBefore)
}
