package delivery_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// as is a pool of a role of its own, which grants give what it may: SQL with "role"
// for its name.
func (b *bundle) as(name, grants string) *pgxpool.Pool {
	b.t.Helper()
	role := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_" + name}.Sanitize()
	b.exec("CREATE ROLE " + role)
	b.t.Cleanup(func() {
		_, err := b.pool.Exec(context.WithoutCancel(b.t.Context()), "DROP OWNED BY "+role+"; DROP ROLE "+role)
		require.NoError(b.t, err)
	})
	_, err := b.pool.Exec(b.t.Context(), strings.ReplaceAll(grants, "TO role", "TO "+role))
	require.NoError(b.t, err)
	return b.apartPool(func(cfg *pgxpool.Config) {
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "SET ROLE "+role)
			return err
		}
	})
}

// engineGrants are those that docs/security.md names for an engine.
func engineGrants(t *testing.T) string {
	t.Helper()
	guide, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)\n```sql\nCREATE ROLE webhook_engine;\n(.*?)\n```\n").FindSubmatch(guide)
	require.NotNil(t, block)
	return strings.ReplaceAll(string(block[1]), "webhook_engine", "role")
}

// The rights that docs/security.md names are enough for all that an engine does, and
// for keeping subscriptions.
func TestRole_AnEngineWorksWithTheRightsThatTheGuideNames(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	pool := b.as("engine", engineGrants(t))
	var lines log
	cfg := b.cfg
	cfg.Logger = lines.logger()
	engine, err := delivery.New(pool, &cfg)
	require.NoError(t, err)
	b.subs = engine.Subscriptions()
	ctx := t.Context()

	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500}) // a retry is a new job
	sub := b.subscribe(receiver, func(spec *subscription.Spec) { spec.Credentials.Bearer = "b34rer" })
	require.NoError(t, engine.Start(ctx))
	id := b.enqueue(nil)
	b.wait(receiver, 2)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	d := b.deliveries(id)[0].ID
	require.Equal(t, []string{"failed", "delivered"}, b.outcomes(d))
	require.NoError(t, engine.Redeliver(ctx, d))
	b.wait(receiver, 3)

	_, err = engine.Prune(ctx)
	require.NoError(t, err)
	require.NoError(t, engine.Heartbeat(ctx))
	require.NoError(t, engine.Maintain(ctx))
	_, err = engine.RetryFailed(ctx, id)
	require.NoError(t, err)
	_, err = engine.Recover(ctx, sub.ID, nil)
	require.NoError(t, err)
	_, err = engine.Explain(ctx, id)
	require.NoError(t, err)
	_, _, err = engine.Ping(ctx, sub.ID, nil)
	require.NoError(t, err)
	b.gate(b.receiver(nil), nil)
	answer, err := engine.Ask(ctx, mayDelete())
	require.NoError(t, err)
	require.NoError(t, answer.Unrecorded)
	_, err = b.subs.RotateSecret(ctx, sub.ID, nil)
	require.NoError(t, err)
	_, err = b.subs.Reseal(ctx, nil)
	require.NoError(t, err)
	b.change(b.subs.Pause(ctx, sub.ID))
	require.NoError(t, b.subs.Delete(ctx, sub.ID))
	require.NoError(t, engine.Stop(context.WithoutCancel(ctx)))
	sites, err := hierarchy.NewSites(pool, nil)
	require.NoError(t, err)
	_, err = sites.Create(ctx, "/noaa")
	require.NoError(t, err)
	_, err = sites.Rename(ctx, "/noaa", "nasa")
	require.NoError(t, err)
	types, err := outbox.NewEventTypes(pool, nil)
	require.NoError(t, err)
	require.NoError(t, types.Register(ctx, outbox.EventType{Name: "user.created"}))

	require.NotContains(t, lines.String(), "permission denied")
	for _, statement := range []string{
		`DROP TABLE riverhook.intent`, `CREATE TABLE riverhook.mine ()`, `SELECT riverhook.erase('user', 'ada')`,
	} {
		_, err = pool.Exec(ctx, statement)
		require.ErrorContains(t, err, "SQLSTATE 42501", statement)
	}
}

func TestRole_AHistoryIsReadWithTheRightsThatTheGuideNames(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(b.receiver(nil), nil)
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	pool := b.as("reader", `GRANT USAGE ON SCHEMA riverhook TO role; GRANT SELECT ON ALL TABLES IN SCHEMA riverhook TO role`)
	h, err := delivery.NewHistory(pool, nil)
	require.NoError(t, err)
	ctx := t.Context()

	deliveries, err := deliveriesOf(h.Deliveries(ctx, &delivery.DeliveryFilter{SubscriptionID: sub.ID}))
	require.NoError(t, err)
	require.Len(t, deliveries, 1)
	for what, read := range map[string]func(id uuid.UUID) error{
		"Attempts": func(id uuid.UUID) error { _, err := h.Attempts(ctx, id); return err },
		"Delivery": func(id uuid.UUID) error { _, err := h.Delivery(ctx, id); return err },
		"Explain":  func(uuid.UUID) error { _, err := h.Explain(ctx, id); return err },
		"Intent":   func(uuid.UUID) error { _, err := h.Intent(ctx, id); return err },
		"Intents":  func(uuid.UUID) error { _, err := h.Intents(ctx, nil); return err },
		"Message":  func(id uuid.UUID) error { _, err := h.Message(ctx, id); return err },
		"Stats":    func(uuid.UUID) error { _, err := h.Stats(ctx); return err },
	} {
		require.NoError(t, read(deliveries[0].ID), what)
	}
	_, err = pool.Exec(ctx, `DELETE FROM riverhook.attempt`)
	require.ErrorContains(t, err, "SQLSTATE 42501")
}
