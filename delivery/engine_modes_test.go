package delivery_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestEngine_WorksInEachQueryExecMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
			require.NoError(t, err)
			cfg.ConnConfig.DefaultQueryExecMode = mode
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			b.pool = pool
			b.subs = b.engine(nil).Subscriptions()

			receiver := b.receiver(nil)
			receiver.Script(deliverytest.Answer{Status: 500, Body: []byte("not now")})
			sub := b.subscribe(receiver, func(spec *subscription.Spec) {
				spec.Headers = map[string]string{"X-Team": "people"}
			})
			denied := b.subscribe(receiver, func(spec *subscription.Spec) { spec.Owner = "mallory" })
			checkers, err := access.NewRegistry(nil)
			require.NoError(t, err)
			require.NoError(t, checkers.RegisterDefault(access.CheckerFunc(func(_ context.Context, r access.Request) error {
				if r.Principal == "mallory" {
					return access.ErrDenied
				}
				return nil
			})))
			b.start(b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = checkers }))

			id := b.enqueue(nil)

			requests, err := receiver.Wait(t.Context(), 2)
			require.NoError(t, err)
			require.Equal(t, "people", requests[1].Header.Get("X-Team"))
			b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
			require.Equal(t, sub.ID, b.deliveries(id)[0].Subscription)
			require.Equal(t, "denied", b.decisions(id)[denied.ID][0])

			b.gate(b.always(deliverytest.Veto("no")), nil)
			answer, err := b.engine(nil).Ask(t.Context(), mayDelete())
			require.ErrorIs(t, err, delivery.ErrVetoed)
			require.NoError(t, answer.Unrecorded)
		})
	}
}

func TestEngine_SessionsInWhichABackslashEscapes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.pool = b.apartPool(func(cfg *pgxpool.Config) { cfg.ConnConfig.RuntimeParams["standard_conforming_strings"] = "off" })
	engine := b.engine(nil)
	b.subs = engine.Subscriptions()
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500})
	b.subscribe(receiver, nil)
	b.gate(receiver, nil)
	engine.RereadAfter(time.Nanosecond)
	id := b.enqueue(nil)

	b.drain(engine)
	b.drainAhead(engine, time.Hour)
	answer, err := engine.Ask(t.Context(), mayDelete())

	require.NoError(t, err)
	require.NoError(t, answer.Unrecorded)
	require.Equal(t, []string{"agreed"}, said(answer.Gates))
	require.Equal(t, []string{"failed", "delivered"}, b.history(id))
}

func TestEngine_WorksWithoutListen(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.start(b.engine(func(cfg *delivery.Config) { cfg.PollOnly = true }))

	b.enqueue(nil)

	_, err := receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
}

func TestEngine_WorksInASchemaOfAnotherName(t *testing.T) {
	t.Parallel()
	pool, err := pgxPool(t.Context(), pgtest.EmptyDatabase(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	require.NoError(t, outbox.Migrate(t.Context(), pool, &outbox.MigrateOpts{Schema: "hooks"}))
	engine, err := delivery.New(pool, &delivery.Config{
		Schema: "hooks",
		Egress: deliverytest.LocalPolicy(),
		Sealer: sealer(),
	})
	require.NoError(t, err)
	client, err := outbox.New(&outbox.Config{Schema: "hooks"})
	require.NoError(t, err)
	receiver := deliverytest.NewReceiver(t, nil)
	_, err = engine.Subscriptions().Create(t.Context(), subscription.Spec{
		URL:      receiver.URL(),
		Events:   []string{"**"},
		Operator: true,
	})
	require.NoError(t, err)
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })

	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := client.Enqueue(t.Context(), tx, outbox.Intent{Type: "user.created"})
		return err
	}))

	_, err = receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
}
