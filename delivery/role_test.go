package delivery_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
)

// The rights that docs/security.md names are enough for an event with a retry, and
// for maintenance.
func TestAnEngineWorksWithTheRightsThatTheGuideNames(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)\n```sql\n(.*?)\n```\n").FindSubmatch(guide)
	require.NotNil(t, block)
	b := newBundle(t)
	role := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_engine"}.Sanitize()
	_, err = b.pool.Exec(t.Context(), strings.ReplaceAll(string(block[1]), "webhook_engine", role))
	require.NoError(t, err)

	cfg := b.pool.Config()
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE "+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		pool.Close()
		ctx := context.WithoutCancel(t.Context())
		_, err := b.pool.Exec(ctx, "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(t, err)
	})
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500}) // a retry is a new job
	b.subscribe(receiver, nil)
	engine, err := delivery.New(pool, &b.cfg)
	require.NoError(t, err)
	require.NoError(t, engine.Start(t.Context()))
	id := b.enqueue(nil)
	_, err = receiver.Wait(t.Context(), 2)
	require.NoError(t, err)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	_, err = engine.Prune(t.Context())
	require.NoError(t, err)
	require.NoError(t, engine.Heartbeat(t.Context()))
	require.NoError(t, engine.Maintain(t.Context()))
	_, err = engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.NoError(t, engine.Stop(context.WithoutCancel(t.Context())))
	_, err = pool.Exec(t.Context(), "DROP TABLE riverhook.intent")
	require.Error(t, err)
}
