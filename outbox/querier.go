package outbox

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
)

// Querier is what this package uses of a transaction of database/sql. *sql.Tx is
// one, and so are the transactions of what is built on it: sqlx.Tx, bun.Tx, the
// ConnPool of a GORM statement within a transaction (also with PrepareStmt) and the
// transactions of ent's SQL driver. The interface will not grow.
//
// It must be in a transaction: a *sql.DB, or a type that embeds one, is refused,
// because the intent would be committed whatever becomes of the data. A *sql.Conn
// is taken; that it has begun a transaction is the caller's word. So are
// the ConnPool of a GORM handle with PrepareStmt, and ent's sql.Driver, outside of one.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

var errPool = errors.New("is a pool: begin a transaction and pass that")

// checkQuerier refuses what cannot be in a transaction. Its error follows the
// words "the transaction".
func checkQuerier(tx Querier) error {
	if v := reflect.ValueOf(tx); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errNilTx
	}
	if _, pool := tx.(interface{ SetMaxOpenConns(n int) }); pool {
		return errPool
	}
	return nil
}

var errNilTx = errors.New("is nil")
