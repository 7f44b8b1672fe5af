package pginbox_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func TestEngine_OneThatRunsWhatIsDueLeavesTheInboxAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine, err := delivery.New(b.pool, &delivery.Config{
		Egress: deliverytest.LocalPolicy(),
		Logger: slog.New(slog.DiscardHandler),
		Sealer: seal.Clear(),
	})
	require.NoError(t, err)
	inbox := b.inbox(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	b.add(inbox, "d1")

	deliverytest.Drain(t.Context(), t, engine, nil)

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'available' AND attempt = 0`))
	b.start(inbox)
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
}

// An event goes from an outbox through an engine to an inbox in one schema, where both
// have River clients, each of which may lead.
func TestEngine_SharesASchemaWithAnInbox(t *testing.T) {
	t.Parallel()
	for _, inboxFirst := range []bool{true, false} {
		b := newBundle(t)
		engine, err := delivery.New(b.pool, &delivery.Config{
			Egress: deliverytest.LocalPolicy(),
			Logger: slog.New(slog.DiscardHandler),
			Sealer: seal.Clear(),
		})
		require.NoError(t, err)
		secret := dialect.Secret{}
		registry := &receiver.Registry{}
		rec := in(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
			return receiver.Response{}, write(ctx, tx, ev)
		}))
		rec.Tokens, rec.Verifier = nil, dialect.StandardVerifier(nil)
		rec.Secrets = func(context.Context, string) ([]dialect.Secret, error) { return []dialect.Secret{secret}, nil }
		require.NoError(t, registry.Register(rec))
		inbox := b.open(registry)
		handler, err := receiver.NewHandler(registry, inbox, &receiver.Config{BaseURL: "http://localhost"})
		require.NoError(t, err)
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		sub, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
			URL:      server.URL + "/in",
			Events:   []string{"user.*"},
			Operator: true,
		})
		require.NoError(t, err)
		secret, err = dialect.ParseSecret(sub.Secret.Reveal())
		require.NoError(t, err)

		startEngine := func() {
			require.NoError(t, engine.Start(t.Context()))
			t.Cleanup(func() { require.NoError(t, engine.Stop(context.WithoutCancel(t.Context()))) })
		}
		if inboxFirst {
			b.start(inbox)
			startEngine()
		} else {
			startEngine()
			b.start(inbox)
		}
		require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			_, err := outbox.Enqueue(t.Context(), tx, outbox.Intent{
				ID:   "msg_1",
				Type: "user.created",
				Data: 1,
			})
			return err
		}))

		b.eventually(`SELECT count(*) FROM effect WHERE delivery_id = 'msg_1'`, 1)
		b.eventually(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`, 1)
		stats, err := engine.History().Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, stats.Engines, "an inbox is none")
		b.eventually(`SELECT count(*) FROM riverhook.maintenance_lease l JOIN riverhook.engine e USING (process) WHERE NOT e.inbox`, 1)
		require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.attempt WHERE status = 202`))
		require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state IN ('discarded', 'cancelled')`))
	}
}
