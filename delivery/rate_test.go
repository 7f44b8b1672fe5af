package delivery_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// Two engines send as fast as a rate allows, and no faster; nothing is lost, and nothing is
// counted as a failure.
func TestRate_SeveralEnginesKeepIt(t *testing.T) {
	t.Parallel()
	const (
		events    = 25
		burst     = 5
		perSecond = 20
	)
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Rate = subscription.Rate{Events: perSecond, Burst: burst} })
	quick := func(cfg *delivery.Config) { cfg.Maintenance.Interval = 100 * time.Millisecond }
	started := time.Now()
	for range events {
		b.enqueue(nil)
	}
	engine := b.start(b.engine(quick))
	b.start(b.engine(quick))
	for n := range events {
		b.wait(r, n+1)
		allowed := 1.05 * (burst + perSecond*(time.Since(started)+20*time.Millisecond).Seconds())
		require.LessOrEqual(t, float64(len(r.Requests())), allowed)
	}
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND attempts = 1`) == events
	})
	require.Positive(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE attempt_seq > 1`), "some were held")
	health := b.health(engine, sub.ID)
	require.Zero(t, health.FailedAttempts)
	require.Zero(t, health.HeldByRate)
}

// What is held is shown, and goes on when there is a rate for it: after its time, which a
// drain lets pass, and by a higher one.
func TestRate_WhatIsHeldIsShownAndGoesOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	rate := subscription.Rate{
		Events: 1,
		Per:    time.Hour,
		Burst:  1,
	}
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Rate = rate })
	for range 5 {
		b.enqueue(nil)
	}
	engine := b.engine(nil)
	b.drain(engine)
	require.Len(t, r.Requests(), 1)
	health := b.health(engine, sub.ID)
	require.Equal(t, rate, health.Rate)
	require.Equal(t, 4, health.HeldByRate)
	stats, err := engine.History().Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, stats.HeldByRate)
	page, err := engine.History().Deliveries(t.Context(), &delivery.DeliveryFilter{Hold: delivery.HoldRate})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 4)
	require.Equal(t, "the rate of the subscription is used up", page.Deliveries[0].Reason)
	require.ErrorIs(t, engine.Redeliver(t.Context(), page.Deliveries[0].ID), delivery.ErrDeliveryPending)

	deliverytest.Drain(t.Context(), t, engine, &deliverytest.DrainOpts{Ahead: 150 * time.Minute})
	require.Len(t, r.Requests(), 3, "one an hour")

	_, err = b.subs.Update(t.Context(), sub.ID, subscription.Update{Rate: new(subscription.Rate{})})
	require.NoError(t, err)
	b.drain(engine)
	require.Len(t, r.Requests(), 5)
}

// The rate of an owner is that of all its subscriptions, and a rate of a subscription that is
// stored already is bounded by that of the engine.
func TestRate_OfAnOwnerAndOfTheEngine(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limited, bounded := b.receiver(nil), b.receiver(nil)
	for range 2 {
		b.subscribe(limited, func(spec *subscription.Spec) { spec.Owner = "limited" })
	}
	b.subscribe(bounded, func(spec *subscription.Spec) {
		spec.Owner = "bounded"
		spec.Rate = subscription.Rate{Events: 100}
	})
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Limits.MaxRate = subscription.Rate{
			Events: 1,
			Per:    time.Hour,
			Burst:  4,
		}
		cfg.Limits.RateOf = func(owner string) subscription.Rate {
			if owner != "limited" {
				panic("nobody knows " + owner)
			}
			return subscription.Rate{
				Events: 1,
				Per:    time.Hour,
				Burst:  3,
			}
		}
	})
	for range 5 {
		b.enqueue(nil)
	}
	b.drain(engine)
	require.Len(t, limited.Requests(), 3)
	require.Len(t, bounded.Requests(), 4)
}

// A rate that is raised is in force within seconds for what is held and for what comes, that of
// a subscription and that of an owner; and an endpoint that answers at once gets what its rate
// has, however few slots it has.
func TestRate_ARaisedOneIsInForceSoonAndIsNotThatOfTheSlots(t *testing.T) {
	t.Parallel()
	const events = 60
	b := newBundle(t)
	once := subscription.Rate{
		Events: 1,
		Per:    time.Hour,
		Burst:  1,
	}
	raised := subscription.Rate{Events: 40, Burst: 1}
	one := func(spec *subscription.Spec) { spec.MaxInFlight = 1 }
	ofSub, ofOwner := b.receiver(nil), b.receiver(nil)
	sub := b.subscribe(ofSub, func(spec *subscription.Spec) {
		one(spec)
		spec.Owner = "other"
		spec.Rate = once
	})
	b.subscribe(ofOwner, one)
	var isRaised atomic.Bool
	change := func(cfg *delivery.Config) {
		cfg.Limits.RateOf = func(owner string) subscription.Rate {
			switch {
			case owner == "other":
				return subscription.Rate{}
			case isRaised.Load():
				return raised
			default:
				return once
			}
		}
	}
	for range events {
		b.enqueue(nil)
	}
	b.start(b.engine(change))
	b.start(b.engine(change))
	// What finds the one slot taken is held for that, and goes on by the rate as well.
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold IN ('rate', 'slots')`) == 2*(events-1)
	})
	isRaised.Store(true)
	_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{Rate: &raised})
	require.NoError(t, err)
	b.enqueue(nil)
	started := time.Now()
	b.wait(ofSub, events+1)
	b.wait(ofOwner, events+1)
	require.Less(t, time.Since(started), 40*time.Second) // at the pace of the slots it were a minute
}
