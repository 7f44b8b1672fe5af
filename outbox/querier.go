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
// It must be in a transaction, because otherwise the intent would be committed
// whatever becomes of the data. A pool is refused: what has a method BeginTx and no
// Commit, such as *sql.DB, what embeds one, the ConnPool of a GORM handle outside of a
// transaction, and ent's driver. A *sql.Conn is taken; that it has begun a
// transaction is the caller's word.
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

var errNilTx = errors.New("is nil")
