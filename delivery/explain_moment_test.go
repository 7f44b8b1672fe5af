package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// What is recorded between two readings would be in neither.
func TestExplain_HasALineForEachWhileTheExpansionGoesOn(t *testing.T) {
	t.Parallel()
	const subscriptions = 6
	b := newBundle(t)
	b.cfg.Limits.ChunkSize = 2
	receiver := b.receiver(nil)
	for range subscriptions {
		b.subscribe(receiver, nil)
	}
	id := b.enqueue(nil)
	engine := b.interrupted("ExplainOthers", func() { b.drain(b.engine(nil)) })

	x, err := engine.Explain(t.Context(), id)

	require.NoError(t, err)
	require.Len(t, receiver.Requests(), subscriptions, "it was expanded meanwhile")
	require.Len(t, x.Subscriptions, subscriptions)
	require.Equal(t, delivery.IntentPending, x.Intent.State, "all of it is of one moment")
	for _, s := range x.Subscriptions {
		require.Equal(t, delivery.DecisionNotExpanded, s.Outcome)
	}
	x, err = engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, delivery.IntentExpanded, x.Intent.State)
	for _, s := range x.Subscriptions {
		require.Equal(t, delivery.DecisionDelivered, s.Outcome)
	}
}

func TestExplain_SaysWhenTheExpansionIsToBegin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	later := time.Date(2199, 1, 2, 3, 4, 5, 0, time.UTC)
	id := b.enqueue(func(in *outbox.Intent) { in.NotBefore = later })

	x, err := b.reader().Explain(t.Context(), id)

	require.NoError(t, err)
	require.Equal(t, delivery.DecisionNotExpanded, x.Subscriptions[0].Outcome)
	require.Contains(t, x.Subscriptions[0].Why, "not to begin before 2199-01-02 03:04:05 UTC")
}

func TestExplain_HasALineForOneThatWasDeletedBeforeTheExpansion(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	remove := func(name string, change func(spec *subscription.Spec)) func() {
		sub := b.subscribe(receiver, func(spec *subscription.Spec) {
			spec.Name = name
			if change != nil {
				change(spec)
			}
		})
		return func() { require.NoError(t, b.subs.Delete(t.Context(), sub.ID)) }
	}
	remove("before the event", nil)()
	between := remove("between", nil)
	deaf := remove("deaf", func(spec *subscription.Spec) { spec.Events = []string{"office.*"} })
	elsewhere := remove("elsewhere", func(spec *subscription.Spec) { spec.Site = "/noaa/nws/mfl" })
	after := remove("after", nil)
	id := b.enqueue(nil)
	between()
	deaf()
	elsewhere()
	engine := b.engine(nil)
	for _, state := range []delivery.IntentState{delivery.IntentPending, delivery.IntentExpanded} {
		x, err := engine.Explain(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, state, x.Intent.State)
		got := explained(x)
		require.Len(t, got, 2)
		require.Equal(t, delivery.DecisionInactive, got["between"].Outcome)
		require.True(t, got["between"].Live)
		require.Contains(t, got["between"].Why, "deleted at ")
		b.drain(engine)
	}
	after()
	late := remove("late", func(spec *subscription.Spec) { spec.Events = []string{"user.*"} })
	late()

	x, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	got := explained(x)
	require.Len(t, got, 2)
	require.Equal(t, delivery.DecisionDelivered, got["after"].Outcome)
	require.Contains(t, got, "between")
	require.Len(t, receiver.Requests(), 1)
}
