package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestAccess_AnOwnerWhoMayNotSeeTheResourceGetsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	allowed, allowedID := b.subscribeAs("ada")
	denied, deniedID := b.subscribeAs("bob")

	id := b.enqueue(nil)
	b.drain(b.guardedBy(accesstest.Table{"ada": nil, "bob": access.ErrDenied}))

	require.Len(t, allowed.Requests(), 1)
	require.Empty(t, denied.Requests())
	require.Len(t, b.deliveries(id), 1)
	require.Equal(t, "delivered", b.delivery(id, allowedID).State)
	require.Equal(t, map[uuid.UUID][2]string{deniedID: {"denied", `"bob" may not view the resource`}}, b.decisions(id))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`), "a denial is no fault of the subscription")
}

func TestAccess_AnOwnerWhoDoesNotExistIsUnresolvable(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.subscribeAs("ghost")

	id := b.enqueue(nil)
	b.drain(b.guardedBy(accesstest.Table{}))

	require.Empty(t, r.Requests())
	require.Empty(t, b.deliveries(id))
	require.Equal(t, "unresolvable", b.decisions(id)[subID][0])
	require.Contains(t, b.decisions(id)[subID][1], `there is no principal "ghost"`)
}

func TestAccess_ASubscriptionWhoseOwnerDoesNotExistIsDeactivatedInTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.subscribeAs("ghost")
	told := make(chan delivery.SubscriptionEvent, 10)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{})
		cfg.Deactivation.Unresolvable = 3
		cfg.Hooks.SubscriptionDeactivated = func(_ context.Context, ev delivery.SubscriptionEvent) { told <- ev }
	})

	b.enqueue(nil)
	b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, subscription.StateActive, b.subscription(subID).State)
	b.enqueue(nil)
	b.drain(engine)

	sub := b.subscription(subID)
	require.Equal(t, subscription.StateDeactivated, sub.State)
	require.Equal(t, "the owner could not be resolved for 3 intents", sub.StateReason)
	require.Len(t, told, 1)
	require.Equal(t, delivery.SubscriptionEvent{
		SubscriptionID: subID,
		Owner:          "ghost",
		URL:            sub.URL,
		Epoch:          1,
		Reason:         sub.StateReason,
	}, <-told)
}

func TestDecide_WithoutACheckerHereADecisionWaitsForAProcessThatHasIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.subscribeAs("ada")
	var log bytes.Buffer
	without := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = nil
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Maintenance.ReevaluateAfter = time.Hour
	})

	id := b.enqueue(nil)
	b.drain(without)
	require.Empty(t, r.Requests())
	waiting := [2]string{"waiting", `no access checker for resources of kind "user" in the process that tried`}
	require.Equal(t, waiting, b.decisions(id)[subID])
	require.Contains(t, log.String(), "no access checker", "what is missing in a process is logged")
	require.Contains(t, log.String(), "cause=checker:user")
	b.pass(time.Hour)
	b.drain(without)
	require.Equal(t, waiting, b.decisions(id)[subID], "it is never final")

	b.pass(5 * time.Hour)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 1)
	require.Equal(t, "delivered", b.delivery(id, subID).State)
	require.Empty(t, b.decisions(id), "the decision gave way to the delivery")
}

func TestAccess_WhileItCannotBeDecidedTheOthersGoOut(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error":      func() error { return errors.New("directory is down") },
		"a panic":       func() error { panic("directory is down") },
		"no answer yet": func() error { return context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			good, _ := b.subscribeAs("ada")
			bad, badID := b.subscribeAs("bob")
			var up atomic.Bool
			engine := b.guardedBy(access.CheckerFunc(func(_ context.Context, r access.Request) error {
				if r.Principal == "bob" && !up.Load() {
					return fail()
				}
				return nil
			}))

			id := b.enqueue(nil)
			b.drain(engine)
			require.Len(t, good.Requests(), 1)
			require.Empty(t, bad.Requests())
			require.Equal(t, "waiting", b.decisions(id)[badID][0])
			require.Contains(t, b.decisions(id)[badID][1], "access could not be decided")
			for range 20 { // more often than an externalizer may fail
				b.pass(time.Hour)
				b.drain(engine)
			}
			require.Equal(t, "waiting", b.decisions(id)[badID][0], "it is never final")

			up.Store(true)
			b.pass(time.Hour)
			b.drain(engine)

			require.Len(t, good.Requests(), 1)
			require.Len(t, bad.Requests(), 1)
			require.Empty(t, b.decisions(id))
			require.Equal(t, 1, b.delivery(id, badID).Attempts, "waiting used up no attempt")
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
		})
	}
}

// More decisions wait than one job takes: none of them may starve behind others
// that cannot be decided.
func TestDecide_ManyThatWaitDoNotKeepEachOtherFromTheirTurn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receivers := map[string]*deliverytest.Receiver{}
	for i := range 7 {
		owner := fmt.Sprintf("owner%d", i)
		receivers[owner], _ = b.subscribeAs(owner)
	}
	var up atomic.Bool
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Limits.ChunkSize = 2
		cfg.Access.Registry = b.checkers(access.CheckerFunc(func(_ context.Context, r access.Request) error {
			if !up.Load() || r.Principal < "owner4" {
				return errors.New("directory is down")
			}
			return nil
		}))
	})

	id := b.enqueue(nil)
	b.drain(engine)
	require.Len(t, b.decisions(id), 7)
	up.Store(true)
	for range 5 {
		b.pass(time.Hour)
		b.drain(engine)
	}

	for owner, r := range receivers {
		require.Len(t, r.Requests(), map[bool]int{true: 1}[owner >= "owner4"], owner)
	}
	require.Len(t, b.decisions(id), 4)
	require.LessOrEqual(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE finalized_at IS NULL`), 4,
		"none waits for more than one job")
}

func TestDecide_ADecisionThatWaitedEndsWithItsSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	deactivated, deactivatedID := b.subscribeAs("ada")
	deleted, deletedID := b.subscribeAs("ada")
	paused, pausedID := b.subscribeAs("ada")
	engine := b.guardedBy(accesstest.Flaky(3, errors.New("directory is down")))

	id := b.enqueue(nil)
	b.drain(engine)
	require.Len(t, b.decisions(id), 3)
	_, err := b.subs.Deactivate(t.Context(), deactivatedID, "spring cleaning")
	require.NoError(t, err)
	require.NoError(t, b.subs.Delete(t.Context(), deletedID))
	_, err = b.subs.Pause(t.Context(), pausedID)
	require.NoError(t, err)
	b.pass(time.Hour)
	b.drain(engine)

	require.Equal(t, map[uuid.UUID][2]string{
		deactivatedID: {"inactive", "the subscription is deactivated: spring cleaning"},
		deletedID:     {"inactive", "the subscription was deleted"},
	}, b.decisions(id))
	require.Equal(t, "paused", b.delivery(id, pausedID).Hold)
	for _, r := range []*deliverytest.Receiver{deactivated, deleted, paused} {
		require.Empty(t, r.Requests())
	}
}

func TestAccess_AnOwnerWhoLosesItBetweenTwoAttemptsGetsNoMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer error
		reason string
	}{
		"may not see it any more": {access.ErrDenied, `access denied: "ada" may not view the resource`},
		"does not exist any more": {access.ErrUnknownPrincipal, `unresolvable: there is no principal "ada"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, subID := b.subscribeAs("ada")
			r.Script(deliverytest.Answer{Status: 500})
			table := accesstest.Table{"ada": nil}

			id := b.enqueue(nil)
			b.drain(b.guardedBy(table))
			table["ada"] = c.answer
			b.pass(time.Hour)
			b.drain(b.guardedBy(table))

			require.Len(t, r.Requests(), 1)
			d := b.delivery(id, subID)
			require.Equal(t, "cancelled", d.State)
			require.Equal(t, c.reason, d.Reason)
			require.Equal(t, []string{"failed"}, b.outcomes(d.ID))
			require.Equal(t, 1, b.count(`SELECT failed_attempts FROM riverhook.subscription_health`), "that is not a failure")
			require.Zero(t, b.count(`SELECT unresolvable FROM riverhook.subscription_health`), "nor counted")
		})
	}
}

// A short schedule must not keep an old permission alive: its age counts from
// the check, not from the last attempt.
func TestAccess_APermissionForALaterAttemptIsAtMostAccessMaxAgeOld(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.subscribeAs("ada")
	r.Script(deliverytest.Answer{Status: 500}, deliverytest.Answer{Status: 500}, deliverytest.Answer{Status: 500})
	recorder := accesstest.Record(accesstest.NewScript(nil, access.ErrDenied))
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(recorder)
		cfg.Access.MaxAge = 30 * time.Second
		cfg.Schedules = map[string]delivery.Schedule{"twice": {Delays: []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}}}
	})

	id := b.enqueue(nil)
	b.drain(engine)
	b.pass(20 * time.Second)
	b.drain(engine)
	require.Len(t, r.Requests(), 2)
	require.Len(t, recorder.Requests(), 1, "a check is good for Access.MaxAge")
	b.pass(20 * time.Second)
	b.drain(engine)

	require.Len(t, r.Requests(), 2)
	require.Len(t, recorder.Requests(), 2)
	require.Equal(t, "cancelled", b.delivery(id, subID).State)
}

// What an externalizer and the commit take after the check is not given away.
func TestAccess_TheAgeOfAPermissionCountsFromTheQuestion(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	_, subID := b.subscribeAs("ada")
	id := b.enqueue(nil)

	b.drain(b.engine(nil))

	require.Equal(t, "delivered", b.delivery(id, subID).State)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.delivery WHERE access_at < created_at`))
}

func TestAccess_WhileItCannotBeCheckedAgainALaterAttemptWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checkers func(b *bundle) *access.Registry
		reason   string
	}{
		"the checker fails": {
			func(b *bundle) *access.Registry { return b.checkers(accesstest.Fail(errors.New("directory is down"))) },
			"access could not be decided: access: default checker: directory is down",
		},
		"there is no checker in this process": {
			func(*bundle) *access.Registry { return nil },
			`no access checker for resources of kind "user" in the process that tried`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, subID := b.subscribeAs("ada")
			r.Script(deliverytest.Answer{Status: 500})

			id := b.enqueue(nil)
			b.drain(b.engine(nil))
			require.Len(t, r.Requests(), 1)
			b.pass(time.Hour)
			b.drain(b.engine(func(cfg *delivery.Config) { cfg.Access.Registry = c.checkers(b) }))
			require.Len(t, r.Requests(), 1)
			require.Equal(t, "pending", b.delivery(id, subID).State)
			require.Equal(t, c.reason, b.delivery(id, subID).Reason)

			b.pass(time.Hour)
			b.drain(b.engine(nil))

			require.Len(t, r.Requests(), 2)
			require.Equal(t, "delivered", b.delivery(id, subID).State)
			require.Equal(t, 2, b.delivery(id, subID).Attempts, "waiting used up no attempt")
		})
	}
}

func TestAccess_ACheckerIsToldEnoughToJudgeAResourceThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, func(spec *subscription.Spec) { spec.Permission = "audit" })
	recorder := accesstest.Record(accesstest.Allow())
	occurred := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

	b.enqueue(func(in *outbox.Intent) {
		in.ID = "gone"
		in.Type = "user.deleted"
		in.Actor = "boss"
		in.OccurredAt = occurred
		in.Attributes, in.Data = map[string]string{"unit": "radar"}, []byte(`{"was":"Ada"}`)
	})
	b.drain(b.guardedBy(recorder))

	require.Len(t, r.Requests(), 1)
	require.Equal(t, []access.Request{{
		Principal:    "owner",
		Permission:   "audit",
		Site:         "/noaa/nws/oun",
		RecordedSite: "/noaa/nws/oun",
		EventType:    "user.deleted",
		IntentID:     "gone",
		Actor:        "boss",
		Resource:     access.Resource{Kind: "user", ID: "ada"},
		Attributes:   map[string]string{"unit": "radar"},
		Data:         []byte(`{"was":"Ada"}`),
		OccurredAt:   occurred,
	}}, recorder.Requests())
}

// A later attempt is judged by the same facts, loaded from the database.
func TestAccess_ACheckAtALaterAttemptIsToldTheSame(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, _ := b.subscribeAs("ada")
	r.Script(deliverytest.Answer{Status: 500})
	recorder := accesstest.Record(accesstest.Allow())
	engine := b.guardedBy(recorder)

	b.enqueue(func(in *outbox.Intent) { in.Actor, in.Attributes = "boss", map[string]string{"unit": "radar"} })
	b.drain(engine)
	b.pass(time.Hour)
	b.drain(engine)

	asked := recorder.Requests()
	require.Len(t, asked, 2)
	require.Equal(t, asked[0], asked[1])
}

func TestAccess_AnOperatorIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Owner, spec.Operator = "", true })

	b.enqueue(nil)
	b.drainAhead(b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry, cfg.Access.MaxAge = b.checkers(accesstest.Deny()), time.Nanosecond
	}), time.Minute)

	require.Len(t, r.Requests(), 2)
}

func TestAccess_WithRequireActorTheActorMustBeAllowedToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, subID := b.subscribeAs("ada")
	table := accesstest.Table{"ada": nil, "bob": nil, "mallory": access.ErrDenied}
	by := func(actor string) string { return b.enqueue(func(in *outbox.Intent) { in.Actor = actor }) }

	ada := by("ada")
	bob := by("bob")
	mallory := by("mallory")
	ghost := by("ghost")
	nobody := by("")
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Access.Registry, cfg.Access.RequireActor = b.checkers(table), true }))

	for _, id := range []string{ada, bob, nobody} {
		require.Len(t, received(r, id), 1)
	}
	require.Equal(t, [2]string{"denied", `"mallory" may not view the resource`}, b.decisions(mallory)[subID])
	require.Equal(t, "unresolvable", b.decisions(ghost)[subID][0])
	require.Len(t, r.Requests(), 3)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`), "the owner is not to blame for the actor")
}

func TestAccess_WithoutRequireActorTheActorIsNotAskedFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, _ := b.subscribeAs("ada")

	b.enqueue(func(in *outbox.Intent) { in.Actor = "mallory" })
	b.drain(b.guardedBy(accesstest.Table{"ada": nil, "mallory": access.ErrDenied}))

	require.Len(t, r.Requests(), 1)
}

func TestAccess_OfTwoSubscriptionsWithOneURLEachIsJudgedAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, func(spec *subscription.Spec) { spec.Owner = "ada" })
	b.subscribe(r, func(spec *subscription.Spec) { spec.Owner = "bob" })

	one := b.enqueue(nil)
	b.drain(b.guardedBy(accesstest.Table{"ada": nil, "bob": access.ErrDenied}))
	require.Len(t, received(r, one), 1, "one allowed and one denied is exactly one request")

	both := b.enqueue(nil)
	b.drain(b.guardedBy(accesstest.Allow()))
	require.Len(t, received(r, both), 2, "two deliveries, with the same webhook-id")
	require.Len(t, b.deliveries(both), 2)
}
