package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// River deletes its jobs some time after their end, and nothing of ours depends
// on them by then.
func TestRiver_WhatItForgetsChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	delivered := b.receiver(nil)
	exhausted := b.receiver(nil)
	paused := b.receiver(nil)
	retried := b.receiver(nil)
	exhausted.Script(deliverytest.Answer{Status: 400})
	retried.Script(deliverytest.Answer{Status: 500})
	b.subscribe(delivered, nil)
	b.subscribe(exhausted, func(spec *subscription.Spec) { spec.Schedule = "none" })
	b.subscribe(retried, func(spec *subscription.Spec) { spec.Schedule = "twice" })
	pausedID := b.subscribe(paused, nil).ID
	b.pause(pausedID)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	cancelled := b.enqueue(func(in *outbox.Intent) { in.NotBefore = time.Now().Add(time.Minute) })
	b.exec(`UPDATE riverhook.river_job SET state = 'cancelled', finalized_at = now() WHERE kind = 'riverhook_expand' AND finalized_at IS NULL`)
	b.pass(time.Minute)
	b.drain(engine)
	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, 2, b.exec(`UPDATE riverhook.river_job SET finalized_at = now() - interval '10 days' WHERE finalized_at IS NOT NULL`))
	rows := func() string {
		return b.text(`SELECT concat(
			(SELECT json_agg(d ORDER BY d.id) FROM riverhook.delivery d), (SELECT json_agg(s ORDER BY s.intent_id) FROM riverhook.intent_state s),
			(SELECT json_agg(a ORDER BY a.delivery_id, a.seq) FROM riverhook.attempt a))`)
	}
	before := rows()

	engine = b.start(engine)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.river_job WHERE finalized_at IS NOT NULL`) == 0
	})
	require.NoError(t, engine.Maintain(t.Context()))

	require.Equal(t, before, rows())
	require.Empty(t, b.deliveries(cancelled))
	b.activate(pausedID)
	b.pass(time.Hour + 16*time.Second)
	b.wait(paused, 1)
	b.wait(retried, 2)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 3 })
	require.Len(t, b.deliveries(id), 4)
	for _, r := range []*deliverytest.Receiver{delivered, exhausted, paused} {
		require.Len(t, r.Requests(), 1)
	}
}
