package txn

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
)

// Querier is outbox.Querier.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var (
	errNilQuerier = errors.New("the transaction is nil")
	errPool       = errors.New("the transaction is a pool: begin a transaction and pass that")
	errNotBegun   = errors.New("the connection is in no transaction: begin one on it")
)

// isNil is true of nil, and of a nil pointer in an interface.
func isNil(tx any) bool {
	v := reflect.ValueOf(tx)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// CheckQuerier refuses what cannot be in a transaction.
func CheckQuerier(tx Querier) error {
	if isNil(tx) {
		return errNilQuerier
	}
	if _, conn := tx.(*sql.Conn); conn {
		return nil
	}
	// The types of the results of BeginTx differ from library to library.
	_, begins := reflect.TypeOf(tx).MethodByName("BeginTx")
	_, commits := reflect.TypeOf(tx).MethodByName("Commit")
	if begins && !commits {
		return errPool
	}
	return nil
}
