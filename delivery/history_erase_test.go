package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

var ada = access.Resource{Kind: "user", ID: "ada"}

// personal is an intent about ada with what is to be forgotten of her.
func personal(in *outbox.Intent) {
	in.Data, in.Attributes = map[string]string{"name": "Lovelace"}, map[string]string{"mail": "lovelace@example.com"}
}

// erase forgets ada in a transaction of its own.
func (b *bundle) erase() outbox.Erased {
	b.t.Helper()
	return b.eraseResource(ada)
}

func TestErase_LeavesOnlyTheRecordThatTheResourceWasSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	about := func(personal deliverytest.Answer) *deliverytest.Receiver {
		return b.receiver(&deliverytest.ReceiverConfig{Answer: func(r deliverytest.Request) deliverytest.Answer {
			if bytes.Contains(r.Body, []byte("Lovelace")) {
				return personal
			}
			return deliverytest.Answer{}
		}})
	}
	echo := about(deliverytest.Answer{Body: []byte("lovelace"), Header: http.Header{"X-Name": {"lovelace"}}})
	garbled := about(deliverytest.Answer{Raw: []byte("lovelace\r\n\r\n")})
	sub := b.subscribe(echo, nil)
	b.subscribe(garbled, func(s *subscription.Spec) { s.Schedule = "none" })
	engine := b.engine(nil)
	id := b.enqueue(personal)
	other := b.enqueue(func(in *outbox.Intent) { in.Resource.ID = "bob" })
	b.drain(engine)
	before := b.delivery(id, sub.ID)

	require.Equal(t, outbox.Erased{
		Attempts: 2,
		Intents:  1,
		Messages: 1,
	}, b.erase())

	b.requireForgotten()
	h := b.reader()
	in, err := h.Intent(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, delivery.PayloadErased, in.Payload)
	require.NotNil(t, in.GoneAt)
	require.Empty(t, in.Data)
	require.Empty(t, in.Attributes)
	require.Equal(t, "user.created", in.Type)
	require.Equal(t, "ada", in.ResourceID)
	require.Equal(t, delivery.IntentExpanded, in.State)
	require.Equal(t, before, b.delivery(id, sub.ID), "the delivery is as it was")
	attempts, err := h.Attempts(t.Context(), before.ID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, attempts[0].Outcome)
	require.Equal(t, 200, attempts[0].Status)
	require.Positive(t, attempts[0].Duration)
	require.Empty(t, attempts[0].ResponseBody)
	require.Empty(t, attempts[0].ResponseHeaders)
	require.Empty(t, attempts[0].RequestHeaders)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.attempt WHERE error = 'protocol'`))
	msg, err := h.Message(t.Context(), before.ID)
	require.NoError(t, err)
	require.True(t, msg.Gone)
	require.Empty(t, msg.Body)
	_, err = h.Explain(t.Context(), id)
	require.NoError(t, err)

	require.ErrorIs(t, engine.Redeliver(t.Context(), before.ID), delivery.ErrErased)
	_, err = engine.RetryFailed(t.Context(), id)
	require.ErrorIs(t, err, delivery.ErrErased)
	require.ErrorIs(t, err, delivery.ErrPayloadGone)
	n, err := engine.Recover(t.Context(), sub.ID, &delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryDelivered}})
	require.NoError(t, err)
	require.Equal(t, 1, n, "the other's")
	require.Zero(t, b.erase(), "it is done once")
	in, err = h.Intent(t.Context(), other)
	require.NoError(t, err)
	require.NotEmpty(t, in.Data)
}

func TestErase_WhatIsPendingOfTheResourceIsCancelled(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	bad := b.always(deliverytest.Answer{Status: 500})
	retried := b.subscribe(bad, func(s *subscription.Spec) { s.Schedule = "twice" })
	held := b.subscribe(bad, func(s *subscription.Spec) { s.Paused = true })
	waiting := b.subscribe(bad, func(s *subscription.Spec) { s.Owner = "newcomer" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{"owner": nil, "newcomer": errors.New("the directory is down")})
	})
	id := b.enqueue(personal)
	b.drain(engine)
	unexpanded := b.enqueue(personal)
	later := b.enqueue(func(in *outbox.Intent) {
		personal(in)
		in.NotBefore = time.Now().Add(time.Hour)
	})

	require.Equal(t, outbox.Erased{
		Attempts:   1,
		Deliveries: 2,
		Intents:    3,
		Messages:   1,
	}, b.erase())
	b.pass(2 * time.Hour)
	b.drain(b.engine(nil))

	b.requireForgotten()
	require.Len(t, bad.Requests(), 1)
	for _, sub := range []subscription.Subscription{retried, held} {
		require.Equal(t, "cancelled", b.delivery(id, sub.ID).State)
		require.Equal(t, "erased", b.delivery(id, sub.ID).Reason)
		require.Empty(t, b.delivery(id, sub.ID).Hold)
	}
	require.Equal(t, [2]string{"gone", "erased"}, b.decisions(id)[waiting.ID])
	for _, id := range []string{unexpanded, later} {
		in, err := b.reader().Intent(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, delivery.IntentCancelled, in.State)
		require.Equal(t, "erased", in.Reason)
		require.Empty(t, b.deliveries(id))
	}
}

func TestErase_BelongsToTheCallersTransaction(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	engine := b.engine(nil)
	before := b.enqueue(personal)
	ctx := t.Context()
	enqueue := func(tx pgx.Tx, id string, data string) {
		_, err := b.outbox.Enqueue(ctx, tx, outbox.Intent{
			ID:       id,
			Type:     "user.deleted",
			Resource: ada,
			Data:     json.RawMessage(data),
		})
		require.NoError(t, err)
	}

	tx, err := b.pool.Begin(ctx)
	require.NoError(t, err)
	_, err = b.outbox.Erase(ctx, tx, ada)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(ctx))
	in, err := b.reader().Intent(ctx, before)
	require.NoError(t, err)
	require.NotEmpty(t, in.Data)

	tx, err = b.pool.Begin(ctx)
	require.NoError(t, err)
	enqueue(tx, "earlier", `"Lovelace"`)
	erased, err := b.outbox.Erase(ctx, tx, ada)
	require.NoError(t, err)
	require.Equal(t, outbox.Erased{Intents: 2}, erased)
	enqueue(tx, "behind", `"gone"`)
	require.NoError(t, tx.Commit(ctx))
	b.drain(engine)

	b.requireForgotten()
	require.Len(t, r.Requests(), 1)
	require.Equal(t, "behind", r.Requests()[0].ID())
	require.NoError(t, pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		res, err := b.outbox.Enqueue(ctx, tx, outbox.Intent{
			ID:       "earlier",
			Type:     "user.deleted",
			Resource: ada,
			Data:     "Lovelace again",
		})
		require.True(t, res.Duplicate, "its id is remembered, and brings nothing back")
		return err
	}))
	b.requireForgotten()
}

// What an engine holds in its memory when a resource is erased is not written.
func TestErase_AnEngineBringsNothingBack(t *testing.T) {
	t.Parallel()

	t.Run("an expansion under way", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		r := b.receiver(nil)
		b.subscribe(r, nil)
		engine := b.engine(func(cfg *delivery.Config) {
			cfg.Externalize.Registry = externalize(t, "", func(_ context.Context, ev dialect.Event) ([]byte, error) {
				b.erase()
				return ev.Data, nil
			})
		})
		id := b.enqueue(personal)

		b.drain(engine)

		b.requireForgotten()
		require.Empty(t, r.Requests())
		require.Empty(t, b.deliveries(id))
	})

	t.Run("a decision that is made again", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		r := b.receiver(nil)
		sub := b.subscribe(r, nil)
		down := errors.New("the directory is down")
		id := b.enqueue(personal)
		b.drain(b.guardedBy(accesstest.Table{"owner": down}))
		require.Equal(t, "waiting", b.decisions(id)[sub.ID][0])
		b.pass(time.Minute)

		b.drain(b.engine(func(cfg *delivery.Config) {
			cfg.Externalize.Registry = externalize(t, "", func(_ context.Context, ev dialect.Event) ([]byte, error) {
				b.erase()
				return ev.Data, nil
			})
		}))

		b.requireForgotten()
		require.Empty(t, r.Requests())
		require.Equal(t, [2]string{"gone", "erased"}, b.decisions(id)[sub.ID])
		require.Empty(t, b.deliveries(id))
	})

	t.Run("an answer", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(r deliverytest.Request) deliverytest.Answer {
			b.erase()
			return deliverytest.Answer{Body: r.Body, Header: map[string][]string{"X-Name": {"lovelace"}}}
		}})
		b.subscribe(r, nil)
		id := b.enqueue(personal)

		b.drain(b.engine(nil))

		b.requireForgotten()
		require.Len(t, r.Requests(), 1)
		d := b.deliveries(id)[0]
		require.Equal(t, "cancelled", d.State)
		require.Equal(t, []string{"delivered"}, b.outcomes(d.ID), "that it was sent is recorded")
	})
}

// An application's transaction has erased and is not yet committed: others go on,
// and what was to be erased goes on where it is rolled back.
func TestErase_WhileOneIsOpenNoOtherEventWaits(t *testing.T) {
	t.Parallel()
	for _, ends := range []string{"commit", "rollback"} {
		t.Run(ends, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.receiver(nil)
			b.subscribe(r, nil)
			first := b.subscribe(r, func(s *subscription.Spec) {
				s.Events, s.Schedule = []string{"user.retried"}, "twice"
			})
			engine := b.engine(nil)
			r.Script(deliverytest.Answer{Status: 500}, deliverytest.Answer{Status: 500})
			retried := b.enqueue(func(in *outbox.Intent) { in.Type = "user.retried" })
			b.drain(engine)
			id := b.enqueue(personal)
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = b.outbox.Erase(t.Context(), tx, ada)
			require.NoError(t, err)

			others := []string{
				b.enqueue(func(in *outbox.Intent) { in.Resource.ID = "bob" }), b.enqueue(func(in *outbox.Intent) { in.Resource.ID = "eve" }),
			}
			b.start(engine)
			for _, other := range others {
				b.eventually(func() bool { return len(received(r, other)) == 1 })
			}
			require.Empty(t, received(r, id))
			if ends == "commit" {
				require.NoError(t, tx.Commit(t.Context()))
				b.eventually(func() bool { return b.delivery(retried, first.ID).State == "cancelled" })
				require.Empty(t, received(r, id))
				return
			}
			require.NoError(t, tx.Rollback(t.Context()))
			b.pass(2 * time.Hour) // its job has ended with nothing done: it is found lost
			b.eventually(func() bool { return len(received(r, id)) == 1 && b.delivery(retried, first.ID).State == "delivered" })
		})
	}
}
