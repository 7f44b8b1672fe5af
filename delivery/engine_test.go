package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
)

func TestEngine_ACommittedIntentBecomesASignedRequest(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.start(b.engine(nil))

	id := b.enqueue(nil)

	requests, err := receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, id, requests[0].ID())
	var body struct {
		Type string
		Data json.RawMessage
	}
	require.NoError(t, json.Unmarshal(requests[0].Body, &body))
	require.Equal(t, "user.created", body.Type)
	require.Equal(t, `{"name":"Ada"}`, string(body.Data))
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
}

func TestEngine_ARolledBackIntentLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	engine := b.engine(nil)

	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = b.outbox.Enqueue(t.Context(), tx, outbox.Intent{Type: "user.created"})
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	b.drain(engine)

	require.Empty(t, receiver.Requests())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent_state`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job`))
}

func TestEngine_ASavepointThatIsRolledBackTakesItsIntentAlong(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	engine := b.engine(nil)

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		if _, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{ID: "outer", Type: "user.created"}); err != nil {
			return err
		}
		inner, err := tx.Begin(t.Context())
		if err != nil {
			return err
		}
		if _, err := b.outbox.Enqueue(t.Context(), inner, outbox.Intent{ID: "inner", Type: "user.created"}); err != nil {
			return err
		}
		return inner.Rollback(t.Context())
	}))
	b.drain(engine)

	require.Len(t, receiver.Requests(), 1)
	require.Equal(t, "outer", receiver.Requests()[0].ID())
}

func TestStart_RefusesADatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	conn, err := pgxPool(ctx, pgtest.EmptyDatabase(t))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	engine, err := delivery.New(conn, &delivery.Config{Sealer: sealer()})
	require.NoError(t, err)

	require.ErrorIs(t, engine.Start(ctx), outbox.ErrNotMigrated)
	require.ErrorIs(t, engine.Ready(), delivery.ErrNotStarted)
}

func TestAttempt_AFailingEndpointIsTriedAgainUntilItRecovers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500}, deliverytest.Answer{Status: 502})
	b.subscribe(receiver, nil)
	b.start(b.engine(nil))

	id := b.enqueue(nil)

	requests, err := receiver.Wait(t.Context(), 3)
	require.NoError(t, err)
	for _, r := range requests {
		require.Equal(t, id, r.ID())
	}
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"failed", "throttled", "delivered"}, b.outcomes(b.deliveries(id)[0].ID))
}

func TestStop_ASecondOneWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	entered, release := make(chan struct{}), make(chan struct{})
	receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		close(entered)
		<-release
		return deliverytest.Answer{}
	}})
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, engine.Start(ctx))
	id := b.enqueue(nil)
	<-entered

	cancel()
	b.eventually(func() bool { return errors.Is(engine.Ready(), delivery.ErrNotStarted) })
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	require.NoError(t, engine.Stop(t.Context()))

	require.Equal(t, "delivered", b.deliveries(id)[0].State)
}
