package delivery_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// An application holds the lock of a table for as long as it likes: a statement of the
// engine does not wait behind it, and what was to be written is written afterwards, once.
func TestEngine_ALockOfATableIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	cfg := pgtest.PoolSize(t, 20).Config().Copy()
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared before
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := bundleOn(t, pool)
	said := &log{}
	engine := b.engine(func(cfg *delivery.Config) { cfg.Logger = said.logger() })
	r := b.always(deliverytest.Answer{Status: 204})
	b.subscribe(r, nil)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "LOCK TABLE riverhook.delivery IN SHARE MODE")
	require.NoError(t, err)
	b.enqueue(nil)
	b.start(engine)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	b.eventually(func() bool { return strings.Contains(said.String(), "55P03") })
	require.Empty(t, r.Requests())
	require.NoError(t, tx.Commit(t.Context()))
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 1 })
	require.Len(t, r.Requests(), 1)
}

// The record of a question waits longer for an application than one statement does.
func TestAsk_IsRecordedBehindALock(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(b.always(deliverytest.Answer{Status: http.StatusInternalServerError}), nil)
	b.pool = b.apartPool(func(cfg *pgxpool.Config) {
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = "200ms"
		cfg.ConnConfig.RuntimeParams["application_name"] = "asks"
	})
	engine := b.start(b.engine(nil))
	_, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context())) // it was only to lock
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.subscription_health FOR UPDATE`)
	require.NoError(t, err)
	answers := make(chan *delivery.Answer, 1)
	go func() {
		answer, _ := engine.Ask(t.Context(), mayDelete())
		answers <- answer
	}()
	tries := map[string]bool{}
	b.eventually(func() bool {
		tries[b.text(`SELECT coalesce(min(xact_start)::text, '') FROM pg_stat_activity
			WHERE application_name = 'asks' AND datname = current_database() AND wait_event_type = 'Lock'`)] = true
		return len(tries) > 2 || len(tries) == 2 && !tries[""]
	})
	require.NoError(t, tx.Rollback(t.Context()))
	answer := <-answers
	require.NoError(t, answer.Unrecorded)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.intent`))
}
