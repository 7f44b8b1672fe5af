package txn

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// sqlTx is a transaction of database/sql as one of pgx: what a store uses of that. It sends
// lists and JSON as text, which every driver of Postgres does, and reads what drivers
// return.
type sqlTx struct {
	querier   Querier
	depth     int
	savepoint string // "": the transaction itself
	begun     bool   // the querier is known to be in a transaction
	done      bool
}

func newSQLTx(tx Querier) *sqlTx {
	_, conn := tx.(*sql.Conn)
	return &sqlTx{querier: tx, begun: !conn}
}

// requireBegun is an error if a connection is in no transaction: each statement would be
// committed by itself.
func (t *sqlTx) requireBegun(ctx context.Context) error {
	conn, ok := t.querier.(*sql.Conn)
	if t.begun || !ok {
		return nil
	}
	if _, err := conn.ExecContext(ctx, "SAVEPOINT riverhook_0"); err != nil {
		var coded interface{ SQLState() string }
		if errors.As(err, &coded) && coded.SQLState() == "25P01" { // no active transaction
			return errNotBegun
		}
		return err
	}
	_, err := conn.ExecContext(ctx, "RELEASE SAVEPOINT riverhook_0")
	t.begun = err == nil
	return err
}

// Begin sets a savepoint.
func (t *sqlTx) Begin(ctx context.Context) (pgx.Tx, error) {
	inner := &sqlTx{
		querier:   t.querier,
		depth:     t.depth + 1,
		begun:     t.begun,
		savepoint: "riverhook_" + strconv.Itoa(t.depth+1),
	}
	_, err := t.Exec(ctx, "SAVEPOINT "+inner.savepoint)
	return inner, err
}

// Commit releases the savepoint.
func (t *sqlTx) Commit(ctx context.Context) error { return t.end(ctx, "RELEASE SAVEPOINT ") }

// Rollback goes back to the savepoint.
func (t *sqlTx) Rollback(ctx context.Context) error { return t.end(ctx, "ROLLBACK TO SAVEPOINT ") }

func (t *sqlTx) end(ctx context.Context, how string) error {
	if t.savepoint == "" || t.done {
		return pgx.ErrTxClosed
	}
	t.done = true
	_, err := t.Exec(ctx, how+t.savepoint)
	return err
}

// Conn is nil: the connection is that of database/sql.
func (t *sqlTx) Conn() *pgx.Conn { return nil }

// execer is the part of *sql.Tx that says how many rows a statement has changed.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (t *sqlTx) Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error) {
	if err := t.requireBegun(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	params, err := paramsOf(args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	if e, ok := t.querier.(execer); ok {
		result, err := e.ExecContext(ctx, query, params...)
		if err != nil {
			return pgconn.CommandTag{}, err
		}
		n, err := result.RowsAffected()
		return pgconn.NewCommandTag("ROWS " + strconv.FormatInt(n, 10)), err
	}
	rows, err := t.querier.QueryContext(ctx, query, params...)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells what Close would
	for rows.Next() {
		continue
	}
	return pgconn.CommandTag{}, rows.Err()
}

func (t *sqlTx) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	if err := t.requireBegun(ctx); err != nil {
		return nil, err
	}
	params, err := paramsOf(args)
	if err != nil {
		return nil, err
	}
	rows, err := t.querier.QueryContext(ctx, query, params...) //nolint:rowserrcheck // sqlRows.Err does
	if err != nil {
		return nil, err
	}
	return &sqlRows{rows: rows, types: pgtype.NewMap()}, nil
}

func (t *sqlTx) QueryRow(ctx context.Context, query string, args ...any) pgx.Row {
	rows, err := t.Query(ctx, query, args...)
	return sqlRow{rows: rows, err: err}
}

// errNotSQL is the error of what pgx can do and database/sql cannot.
var errNotSQL = errors.New("a transaction of database/sql cannot do this: use Exec, Query, QueryRow and Begin")

// CopyFrom is an error.
func (t *sqlTx) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, errNotSQL
}

// LargeObjects cannot be used.
func (t *sqlTx) LargeObjects() pgx.LargeObjects { return pgx.LargeObjects{} }

// Prepare is an error.
func (t *sqlTx) Prepare(context.Context, string, string) (*pgconn.StatementDescription, error) {
	return nil, errNotSQL
}

// SendBatch returns results that are errors.
func (t *sqlTx) SendBatch(context.Context, *pgx.Batch) pgx.BatchResults { return noBatch{tx: t} }

type noBatch struct{ tx pgx.Tx }

func (noBatch) Close() error { return errNotSQL }

func (noBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, errNotSQL }

func (noBatch) Query() (pgx.Rows, error) { return nil, errNotSQL }

func (noBatch) QueryRow() pgx.Row { return sqlRow{err: errNotSQL} }

func (b noBatch) Tx() pgx.Tx { return b.tx }

type sqlRow struct {
	rows pgx.Rows
	err  error
}

func (r sqlRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// sqlRows are rows of database/sql as those of pgx.
type sqlRows struct {
	rows  *sql.Rows
	types *pgtype.Map
	err   error
}

func (r *sqlRows) Close() {
	if err := r.rows.Close(); r.err == nil {
		r.err = err
	}
}

// CommandTag is empty.
func (r *sqlRows) CommandTag() pgconn.CommandTag { return pgconn.CommandTag{} }

// Conn is nil: the connection is that of database/sql.
func (r *sqlRows) Conn() *pgx.Conn { return nil }

// FieldDescriptions has the names of the columns alone.
func (r *sqlRows) FieldDescriptions() []pgconn.FieldDescription {
	names, err := r.rows.Columns()
	if err != nil {
		return nil
	}
	fields := make([]pgconn.FieldDescription, len(names))
	for i, name := range names {
		fields[i].Name = name
	}
	return fields
}

// RawValues is nil: drivers of database/sql have decoded them.
func (r *sqlRows) RawValues() [][]byte { return nil }

// TypeMap is that by which Scan reads texts.
func (r *sqlRows) TypeMap() *pgtype.Map { return r.types }

// Values are as the driver returns them.
func (r *sqlRows) Values() ([]any, error) {
	values := make([]any, len(r.FieldDescriptions()))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	return values, r.rows.Scan(into...)
}

func (r *sqlRows) Err() error { return errors.Join(r.err, r.rows.Err()) }

func (r *sqlRows) Next() bool { return r.err == nil && r.rows.Next() }

func (r *sqlRows) Scan(dest ...any) error {
	values := make([]any, len(dest))
	into := make([]any, len(dest))
	for i := range values {
		into[i] = &values[i]
	}
	err := r.rows.Scan(into...)
	for i := 0; err == nil && i < len(dest); i++ {
		if err = r.read(values[i], dest[i]); err != nil {
			err = fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	if err != nil {
		r.err = err
		r.Close()
	}
	return err
}

// read puts what a driver has returned where it is wanted.
func (r *sqlRows) read(value, dest any) error {
	switch d := dest.(type) {
	case sql.Scanner:
		return d.Scan(value)
	case *json.RawMessage:
		*d = nil
		if text, ok := textOf(value); ok {
			*d = json.RawMessage(text)
		}
		return nil
	case *[]byte:
		*d = nil
		if text, ok := textOf(value); ok {
			*d = []byte(text)
		}
		return nil
	case *time.Time:
		if at, ok := value.(time.Time); ok {
			*d = at
			return nil
		}
	}
	to := reflect.ValueOf(dest).Elem()
	switch {
	case value == nil && (to.Kind() == reflect.Pointer || to.Kind() == reflect.Slice):
		to.SetZero()
		return nil
	case value == nil:
		return fmt.Errorf("is NULL, which is no %s", to.Type())
	case to.Kind() == reflect.Pointer:
		target := reflect.New(to.Type().Elem())
		to.Set(target)
		return r.read(value, target.Interface())
	case to.Kind() == reflect.Slice:
		return r.readList(value, dest, to.Type())
	}
	if from := reflect.ValueOf(value); from.Kind() == to.Kind() || from.CanInt() && to.CanInt() {
		to.Set(from.Convert(to.Type()))
		return nil
	}
	text, ok := textOf(value)
	t, known := r.types.TypeForValue(to.Interface())
	if !ok || !known {
		return fmt.Errorf("cannot be read from %T into %s", value, to.Type())
	}
	return r.types.Scan(t.OID, pgtype.TextFormatCode, []byte(text), dest)
}

func (r *sqlRows) readList(value, dest any, list reflect.Type) error {
	text, ok := textOf(value)
	if !ok {
		return fmt.Errorf("cannot be read from %T into %s", value, list)
	}
	return r.types.Scan(listOID(list), pgtype.TextFormatCode, []byte(text), dest)
}

func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	default:
		return "", false
	}
}

// listOID is the type of a list: that of texts unless it holds something else.
func listOID(list reflect.Type) uint32 {
	switch elem := list.Elem(); {
	case elem.Kind() == reflect.Bool:
		return pgtype.BoolArrayOID
	case elem == reflect.TypeFor[time.Time]():
		return pgtype.TimestamptzArrayOID
	case elem == reflect.TypeFor[[]byte]():
		return pgtype.ByteaArrayOID
	case elem.Kind() >= reflect.Int && elem.Kind() <= reflect.Uint64:
		return pgtype.Int8ArrayOID
	case elem.Kind() == reflect.Array:
		return pgtype.UUIDArrayOID
	default:
		return pgtype.TextArrayOID
	}
}

func paramsOf(args []any) ([]any, error) {
	types := pgtype.NewMap()
	params := make([]any, len(args))
	for i, arg := range args {
		params[i] = arg
		switch v := arg.(type) {
		case []byte:
			continue
		case json.RawMessage:
			if params[i] = nil; v != nil {
				params[i] = string(v)
			}
			continue
		}
		if list := reflect.TypeOf(arg); list != nil && list.Kind() == reflect.Slice {
			text, err := types.Encode(listOID(list), pgtype.TextFormatCode, arg, nil)
			if err != nil {
				return nil, fmt.Errorf("parameter %d: %w", i+1, err)
			}
			if params[i] = nil; text != nil {
				params[i] = string(text)
			}
		}
	}
	return params, nil
}
