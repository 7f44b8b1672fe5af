package delivery_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// engineKeyID is the id of the key that has sealed what the tests' engines open.
func engineKeyID(t *testing.T) string {
	t.Helper()
	key, err := seal.ParseKey(engineKey)
	require.NoError(t, err)
	return key.ID()
}

// What waits for a cause makes no jobs, however often it is looked at and however much it is.
// All of it goes on when an engine has what was missing, and another's event beside it. Nothing of
// it counts.
func TestCause_WhatWaitsCostsNoJob(t *testing.T) {
	t.Parallel()
	const events = 40
	for cause, c := range map[string]struct {
		lacks     func(b *bundle, cfg *delivery.Config)
		subscribe func(b *bundle) (*deliverytest.Receiver, uuid.UUID)
	}{
		"checker:user": {
			func(_ *bundle, cfg *delivery.Config) { cfg.Access.Registry = nil },
			func(b *bundle) (*deliverytest.Receiver, uuid.UUID) { return b.subscribeAs("ada") },
		},
		"dialect:bare": {
			func(b *bundle, cfg *delivery.Config) { cfg.Dialects = b.dialects() },
			func(b *bundle) (*deliverytest.Receiver, uuid.UUID) { b.speak("bare"); return b.listen("bare") },
		},
		"schedule:twice": {
			func(_ *bundle, cfg *delivery.Config) { cfg.Schedules = nil },
			func(b *bundle) (*deliverytest.Receiver, uuid.UUID) { return b.subscribeAs("ada") },
		},
		"key:" + engineKeyID(t): {
			func(_ *bundle, cfg *delivery.Config) { cfg.Sealer = keysetOf(seal.NewKey().Reveal()) },
			func(b *bundle) (*deliverytest.Receiver, uuid.UUID) { return b.subscribeAs("ada") },
		},
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, sub := c.subscribe(b)
			lacks := b.engine(func(cfg *delivery.Config) { c.lacks(b, cfg) })
			ids := make([]string, events)
			for i := range ids {
				ids[i] = b.enqueue(func(in *outbox.Intent) { in.Share = "loud" })
			}
			b.drain(lacks)
			for range 3 {
				b.pass(10 * time.Minute)
				b.drain(lacks)
			}

			require.Equal(t, events, b.count(`SELECT count(*) FROM riverhook.river_job`), "those of the expansions")
			require.Empty(t, r.Requests())
			stats, err := b.reader().Stats(t.Context())
			require.NoError(t, err)
			require.Len(t, stats.Causes, 1)
			held := stats.Causes[0]
			require.Equal(t, cause, held.Cause.String())
			require.Equal(t, events, held.Deliveries+held.Decisions)
			require.Equal(t, held.Deliveries, stats.HeldByCause)
			x, err := b.reader().Explain(t.Context(), ids[0])
			require.NoError(t, err)
			require.Equal(t, held.Cause, *x.Subscriptions[0].Cause)
			require.Contains(t, x.Subscriptions[0].Why, "held for "+cause)

			quiet := b.enqueue(func(in *outbox.Intent) { in.Share = "quiet" })
			b.drain(b.engine(nil))

			require.Len(t, r.Requests(), events+1)
			for _, id := range slices.Concat(ids, []string{quiet}) {
				d := b.delivery(id, sub)
				require.Equal(t, []any{"delivered", 1}, []any{d.State, d.Attempts})
			}
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
			require.LessOrEqual(t, b.count(`SELECT count(*) FROM riverhook.river_job`), 2*events+1)
		})
	}
}

// Of three engines that run, one has the checker: it releases what the others hold.
func TestCause_OneEngineOfThreeIsEnough(t *testing.T) {
	t.Parallel()
	const events = 30
	b := newBundle(t)
	r, sub := b.subscribeAs("ada")
	quick := func(cfg *delivery.Config) { cfg.Maintenance.Interval = 20 * time.Millisecond }
	for range 2 {
		b.start(b.engine(func(cfg *delivery.Config) { quick(cfg); cfg.Access.Registry = nil }))
	}
	var ids []string
	for range events {
		ids = append(ids, b.enqueue(nil))
	}
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.decision WHERE outcome = 'waiting' AND due_at IS NULL`) == events
	})
	b.start(b.engine(quick))
	for range events {
		ids = append(ids, b.enqueue(nil))
	}

	_, err := r.Wait(t.Context(), len(ids))

	require.NoError(t, err)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == len(ids)
	})
	require.Len(t, r.Requests(), len(ids))
	require.Equal(t, 1, b.delivery(ids[0], sub).Attempts)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.decision`))
}

// A key that is lost for good keeps nothing from going out with a new secret.
func TestCause_ANewSecretTakesThePlaceOfALostKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, nil)
	others := b.with(keysetOf(seal.NewKey().Reveal()))
	id := b.enqueue(nil)
	b.drain(others)
	require.Equal(t, "cause", b.delivery(id, sub.ID).Hold)

	secret, err := others.Subscriptions().RotateSecret(t.Context(), sub.ID, &subscription.RotateOpts{Immediate: true})
	require.NoError(t, err)
	require.NoError(t, r.Trust(secret))
	b.drain(others)

	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
}

// What a person does about what is held.
func TestCause_APersonEndsOrHastensWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, sub := b.subscribeAs("ada")
	lacks := b.engine(func(cfg *delivery.Config) { cfg.Schedules = nil })
	ids := make([]string, 4)
	for i := range ids {
		ids[i] = b.enqueue(func(in *outbox.Intent) { in.Resource.ID = fmt.Sprint("u", i) })
	}
	b.drain(lacks)
	b.exec(`UPDATE riverhook.delivery SET held_since = now() - interval '1 day'`)

	require.NoError(t, lacks.Cancel(t.Context(), b.delivery(ids[0], sub).ID, "not wanted"))
	require.NoError(t, lacks.Redeliver(t.Context(), b.delivery(ids[1], sub).ID))
	require.Equal(t, 1, b.eraseResource(access.Resource{Kind: "user", ID: "u2"}).Deliveries)
	b.drain(lacks)

	require.Equal(t, []string{"cancelled", "pending", "cancelled", "pending"}, []string{
		b.delivery(ids[0], sub).State, b.delivery(ids[1], sub).State, b.delivery(ids[2], sub).State, b.delivery(ids[3], sub).State,
	})
	b.drain(b.engine(nil))
	require.Len(t, r.Requests(), 2)
	require.Equal(t, "delivered", b.delivery(ids[1], sub).State)
	require.Equal(t, "delivered", b.delivery(ids[3], sub).State)
}

// A decision that nobody can make ends visibly, and can be made again.
func TestCause_ADecisionEndsAfterMaxHold(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, sub := b.subscribeAs("ada")
	id := b.enqueue(nil)

	b.drainAhead(b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Fail(errors.New("the directory is down")))
		cfg.Maintenance.MaxHold = 24 * time.Hour
	}), 48*time.Hour)

	require.Equal(t, "failed", b.decisions(id)[sub][0])
	require.Contains(t, b.decisions(id)[sub][1], "held for too long: access could not be decided")
	require.Less(t, b.count(`SELECT count(*) FROM riverhook.river_job`), 100)
	retried, err := b.engine(nil).RetryFailed(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, retried)
	b.drain(b.engine(nil))
	require.Len(t, r.Requests(), 1)
}
