package hierarchy

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
)

// Querier is what Riverhook uses of a transaction of database/sql. *sql.Tx is one, and so
// are the transactions of what is built on it: sqlx.Tx, bun.Tx, the ConnPool of a GORM
// statement within a transaction (also with PrepareStmt) and the transactions of ent's SQL
// driver. The interface will not grow.
//
// It must be in a transaction, because otherwise what is written would be committed
// whatever becomes of the data. A pool is refused: what has a method BeginTx and no Commit,
// such as *sql.DB, what embeds one, the ConnPool of a GORM handle outside of a transaction,
// and ent's driver. A *sql.Conn is accepted if a transaction was begun on it.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// In returns the same sites in a transaction of the caller's, until that ends. What its
// methods change is visible to others after the commit, and a rollback undoes it. An error
// of this package's own leaves the transaction usable. Ancestors keeps the sites where they
// are until the transaction ends: what is created at one of them is created at that site,
// and not at another one that has got its path meanwhile.
func (s *Sites) In(tx pgx.Tx) *Sites {
	in := *s
	in.scope = s.scope.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it. Its session has
// the usual DateStyle (ISO), which In does not need.
func (s *Sites) InSQL(tx Querier) *Sites {
	in := *s
	in.scope = s.scope.InSQL(tx)
	return &in
}

// db runs single statements.
func (s *Sites) db() store.DBTX { return s.scope.DB() }

// run runs fn in the transaction of the sites, or in one of its own.
func (s *Sites) run(ctx context.Context, action string, fn func(tx pgx.Tx) (*Site, error)) (*Site, error) {
	site, err := txn.Run(ctx, s.scope, fn)
	return outcome(action, site, err)
}

// outcome is where an error gets the package's prefix, once.
func outcome[T any](action string, result T, err error) (T, error) {
	if err != nil {
		var none T
		return none, failed(action, err)
	}
	return result, nil
}

func failed(action string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("hierarchy: %s: %w", action, migration.Explain(err))
}
