package maintain

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var silent = slog.New(slog.DiscardHandler)

// database is a database with what the tests write into it.
type database struct {
	*pgxpool.Pool

	t *testing.T
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	return &database{Pool: pgtest.Pool(t), t: t}
}

func (db *database) exec(sql string, args ...any) {
	db.t.Helper()
	_, err := db.Exec(context.Background(), sql, args...)
	require.NoError(db.t, err)
}

func (db *database) count(sql string, args ...any) (n int) {
	db.t.Helper()
	require.NoError(db.t, db.QueryRow(context.Background(), sql, args...).Scan(&n))
	return n
}

// subscribe makes an active subscription.
func (db *database) subscribe() (id uuid.UUID) {
	db.t.Helper()
	err := db.QueryRow(context.Background(), `INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		VALUES (riverhook.new_id(), '/', 'https://example.com/hook?token=x', '{**}', true, 'standard') RETURNING id`).Scan(&id)
	require.NoError(db.t, err)
	return id
}

// deliver makes deliveries of a subscription in a state; those that are not pending have ended.
func (db *database) deliver(subscription uuid.UUID, n int, state string) {
	db.t.Helper()
	db.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, state, ended_at)
		SELECT riverhook.new_id(), riverhook.new_id(), $1, 'standard', '/', 1, $3, CASE WHEN $3 <> 'pending' THEN now() END
		FROM generate_series(1, $2)`, subscription, n, state)
}

// hold makes held deliveries of a subscription.
func (db *database) hold(subscription uuid.UUID, n int, hold string) {
	db.t.Helper()
	db.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since)
		SELECT riverhook.new_id(), riverhook.new_id(), $1, 'standard', '/', 1, $3, now() FROM generate_series(1, $2)`, subscription, n, hold)
}

// reconciler makes one that finds what has been due for lost without a living job.
func (db *database) reconciler(lost time.Duration, pace Pace) *Reconciler {
	return &Reconciler{
		Lost:  lost,
		Pace:  pace,
		Store: store.Frequent(db, "riverhook"),
	}
}

// lease makes one of a process.
func (db *database) lease(process string) *Lease {
	return &Lease{Process: process, Store: store.Frequent(db, "riverhook")}
}
