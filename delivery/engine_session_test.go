package delivery_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// requireAllOf creates, sends, retries, asks, shows and prunes with a started engine
// whose sessions are set to something.
func (b *bundle) requireAllOf(pool *pgxpool.Pool) {
	b.t.Helper()
	ctx := b.t.Context()
	var lines log
	b.pool = pool
	cfg := b.cfg
	cfg.Logger = lines.logger()
	engine, err := delivery.New(pool, &cfg)
	require.NoError(b.t, err)
	b.subs = engine.Subscriptions()
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500, Body: []byte("\x00\xff not now")})
	sub := b.subscribe(receiver, func(spec *subscription.Spec) {
		spec.Credentials.Bearer = "b34rer"
		spec.SecretHeaders = map[string]string{"X-Key": "k"}
	})
	tx, err := pool.Begin(ctx)
	require.NoError(b.t, err)
	inTx, err := b.subs.In(tx).Create(ctx, subscription.Spec{
		Name:   "in a transaction",
		URL:    receiver.URL(),
		Events: []string{"another.type"},
		Owner:  "owner",
	})
	require.NoError(b.t, err)
	require.WithinDuration(b.t, time.Now(), inTx.CreatedAt, time.Hour)
	require.NoError(b.t, tx.Commit(ctx))
	b.start(engine)
	id := b.enqueue(nil)
	requests, err := receiver.Wait(ctx, 2)
	require.NoError(b.t, err)
	require.Equal(b.t, "Bearer b34rer", requests[1].Header.Get("Authorization"))
	require.Equal(b.t, "k", requests[1].Header.Get("X-Key"))
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	d := b.deliveries(id)[0].ID
	attempts, err := engine.History().Attempts(ctx, d)
	require.NoError(b.t, err)
	require.Len(b.t, attempts, 2)
	require.Equal(b.t, "\x00\xff not now", string(attempts[0].ResponseBody))
	require.WithinDuration(b.t, time.Now(), attempts[0].StartedAt, time.Hour)
	require.NoError(b.t, engine.Redeliver(ctx, d))
	b.wait(receiver, 3)
	_, err = engine.Explain(ctx, id)
	require.NoError(b.t, err)
	_, _, err = engine.Ping(ctx, sub.ID, nil)
	require.NoError(b.t, err)
	_, err = b.subs.RotateSecret(ctx, sub.ID, nil)
	require.NoError(b.t, err)
	b.change(b.subs.Pause(ctx, sub.ID))
	b.change(b.subs.Activate(ctx, sub.ID, nil))
	page, err := engine.History().Deliveries(ctx, &delivery.DeliveryFilter{SubscriptionID: sub.ID})
	require.NoError(b.t, err)
	require.Len(b.t, page.Deliveries, 1)
	b.gate(b.always(deliverytest.Veto("no")), nil)
	answer, err := engine.Ask(ctx, mayDelete())
	require.ErrorIs(b.t, err, delivery.ErrVetoed)
	require.NoError(b.t, answer.Unrecorded)
	require.NoError(b.t, engine.Maintain(ctx))
	require.NoError(b.t, engine.Heartbeat(ctx))
	_, err = engine.Prune(ctx)
	require.NoError(b.t, err)
	require.NoError(b.t, engine.Stop(context.WithoutCancel(ctx)))
	for _, trouble := range []string{"level=ERROR", "SQLSTATE", "can't scan", "cannot scan", "maintenance"} {
		require.Zero(b.t, strings.Count(lines.String(), trouble), trouble)
	}
}

func TestEngine_SettingsOfTheSessionChangeNothing(t *testing.T) {
	t.Parallel()
	for _, settings := range []map[string]string{
		{"array_nulls": "off"},
		{"bytea_output": "escape"},
		{"DateStyle": "SQL, DMY"},
		{"DateStyle": "German", "bytea_output": "escape"},
	} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(fmt.Sprint(settings, mode), func(t *testing.T) {
				t.Parallel()
				b := newBundle(t)
				b.requireAllOf(b.apartPool(func(cfg *pgxpool.Config) {
					cfg.ConnConfig.DefaultQueryExecMode = mode
					maps.Copy(cfg.ConnConfig.RuntimeParams, settings)
				}))
			})
		}
	}
}

func TestEngine_WorksUnderEachIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.requireAllOf(b.apartPool(func(cfg *pgxpool.Config) { cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = level }))
		})
	}
}

// Engines and producers write the same rows at the same time.
func TestEngine_ManyAtOnceUnderEachIsolation(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.pool = b.apartPool(func(cfg *pgxpool.Config) { cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = level })
			var lines log
			b.cfg.Logger = lines.logger()
			receiver := b.receiver(nil)
			first, second := b.engine(nil), b.engine(nil)
			b.subs = first.Subscriptions()
			sub := b.subscribe(receiver, nil)
			b.start(first)
			b.start(second)
			const events = 120
			var producers sync.WaitGroup
			failed := make(chan error, events)
			for range 4 {
				producers.Go(func() {
					for range events / 4 {
						failed <- pgx.BeginTxFunc(t.Context(), b.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
							_, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{Type: "user.created", Data: map[string]int{"n": 1}})
							return err
						})
					}
				})
			}
			producers.Wait()
			for range events {
				require.NoError(t, <-failed)
			}
			b.eventually(func() bool {
				return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND subscription_id = $1`, sub.ID) == events
			})
			require.Len(t, receiver.Requests(), events)
			require.Zero(t, strings.Count(lines.String(), "SQLSTATE 40001"), "conflicts")
		})
	}
}
