package store

import (
	"context"
	"database/sql"
)

// ScanSQL runs a statement that returns one row, in a transaction of database/sql
// or of a library built on it, and scans that row. No row is sql.ErrNoRows.
func ScanSQL(
	ctx context.Context,
	tx interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	},
	query string, args []any, dest ...any,
) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells what Close would
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return rows.Close()
}
