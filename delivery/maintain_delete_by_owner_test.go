package delivery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// ada has a delivery in each state in which one can wait: for its retry, for a
// circuit, for the end of a pause, and for a decision. bob has one that waits, too.
func TestDeleteByOwner_WhatIsPendingForThePrincipalEndsCancelled(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.guardedBy(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		if r.Permission == "audit" {
			return errors.New("the directory is down")
		}
		return nil
	}))
	of := func(owner string, change func(spec *subscription.Spec)) (*deliverytest.Receiver, uuid.UUID) {
		r := b.always(deliverytest.Answer{Status: 500})
		return r, b.subscribe(r, func(spec *subscription.Spec) {
			spec.Owner, spec.Schedule = owner, "hourly"
			if change != nil {
				change(spec)
			}
		}).ID
	}
	failing, failingID := of("ada", nil)
	_, pausedID := of("ada", func(spec *subscription.Spec) { spec.Paused = true })
	undecided, undecidedID := of("ada", func(spec *subscription.Spec) { spec.Permission = "audit" })
	_, bobsID := of("bob", nil)
	var ids []string
	for range 6 { // five failures open the circuit
		ids = append(ids, b.enqueue(nil))
		b.drain(engine)
	}
	first, last := ids[0], ids[5]
	require.Empty(t, b.delivery(first, failingID).Hold)
	require.Equal(t, "circuit", b.delivery(last, failingID).Hold)
	require.Equal(t, "paused", b.delivery(first, pausedID).Hold)
	require.Equal(t, "waiting", b.decisions(first)[undecidedID][0])
	before := b.deliveries(first)

	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	n, err := b.subs.In(tx).DeleteByOwner(t.Context(), "ada", nil)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, tx.Rollback(t.Context()))
	b.drain(engine)
	require.Equal(t, before, b.deliveries(first), "a rollback leaves everything as it was")
	b.subscription(pausedID)

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.subs.In(tx).DeleteByOwner(t.Context(), "ada", nil)
		return err
	}))
	sent := len(failing.Requests())
	b.pass(2 * time.Hour)
	for range 3 { // a circuit lets its deliveries go one by one
		b.drain(engine)
		require.NoError(t, engine.Maintain(t.Context()))
	}

	for _, id := range ids {
		for _, sub := range []uuid.UUID{failingID, pausedID} {
			d := b.delivery(id, sub)
			require.Equal(t, []string{"cancelled", "", "the subscription was deleted"}, []string{d.State, d.Hold, d.Reason})
		}
		require.Equal(t, [2]string{"inactive", "the subscription was deleted"}, b.decisions(id)[undecidedID])
		require.Equal(t, "pending", b.delivery(id, bobsID).State)
	}
	require.Len(t, failing.Requests(), sent)
	require.Empty(t, undecided.Requests())
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.secret`), "bob's")
}

func TestDeleteByOwner_WhatIsUnderWayForThePrincipalIsTheLast(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		arrived <- struct{}{}
		<-release
		return deliverytest.Answer{Status: 500}
	}})
	sub := b.subscribe(r, patient)
	b.start(b.engine(nil))

	id := b.enqueue(nil)
	<-arrived
	n, err := b.subs.DeleteByOwner(t.Context(), "owner", nil)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	close(release)

	b.eventually(func() bool { return b.delivery(id, sub.ID).State == "cancelled" })
	require.Equal(t, "the subscription was deleted", b.delivery(id, sub.ID).Reason)
	require.Equal(t, []string{string(delivery.OutcomeFailed)}, b.outcomes(b.delivery(id, sub.ID).ID), "its attempt is recorded")
	require.Len(t, r.Requests(), 1)
}

// The engine's store knows the engine's tree: whoever leaves a site that has moved
// loses what is above it now.
func TestDeleteByOwner_AboveAFormerPathByTheEnginesTree(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sites, err := hierarchy.NewSites(b.pool, nil)
	require.NoError(t, err)
	for _, p := range []hierarchy.Path{"/a", "/a/b", "/d"} {
		_, err := sites.Create(t.Context(), p)
		require.NoError(t, err)
	}
	b.cfg.Tree = sites
	subs := b.engine(nil).Subscriptions()
	for _, site := range []hierarchy.Path{"/a", "/d"} {
		b.subscribe(b.always(deliverytest.Answer{}), func(spec *subscription.Spec) { spec.Owner, spec.Site = "ada", site })
	}
	_, err = sites.Move(t.Context(), "/a/b", "/d")
	require.NoError(t, err)

	n, err := subs.DeleteByOwner(t.Context(), "ada", &subscription.DeleteByOwnerOpts{Above: "/a/b"})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	left, err := listed(subs.List(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, hierarchy.Path("/a"), left[0].Site)
	chain, err := subs.Ancestors(t.Context(), "/a/b")
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/d/b", "/d", "/"}, chain)
}
