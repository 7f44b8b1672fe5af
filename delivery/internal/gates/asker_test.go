package gates_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/gates"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func agree(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func veto(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", dialect.ContentTypeCancel)
	_, _ = io.WriteString(w, `{"reason": "she is on duty"}`)
}

// hang answers never. A server notices that its client has gone when it has read the request.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestAsker_WithoutGatesRecordsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)

	all, unrecorded, err := b.Ask(t.Context(), question(), time.Minute)

	require.NoError(t, err)
	require.NoError(t, unrecorded)
	require.Empty(t, all)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent`))
}

func TestAsker_WhatEachGateAnswers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.checks = func(r access.Request) error {
		if r.Principal == "bob" {
			return access.ErrDenied
		}
		return nil
	}
	want := map[uuid.UUID]gates.Gate{}
	add := func(sub subscription.Subscription, outcome gates.Outcome, reason string) {
		want[sub.ID] = gates.Gate{
			SubscriptionID: sub.ID,
			Outcome:        outcome,
			Reason:         reason,
			FailClosed:     sub.FailClosed,
		}
	}
	add(b.gate(agree, nil), gates.Agreed, "")
	add(b.gate(veto, nil), gates.Vetoed, "she is on duty")
	add(b.gate(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, nil),
		gates.Unanswered, "it answered 500")
	add(b.gate(agree, func(s *subscription.Spec) { s.Owner = "bob" }), gates.NotAsked, `"bob" may not view the resource`)
	paused := b.gate(agree, func(s *subscription.Spec) { s.FailClosed = true })
	_, err := b.subs.Pause(t.Context(), paused.ID)
	require.NoError(t, err)
	add(paused, gates.NotAsked, "the subscription is paused")
	q := question()

	all, unrecorded, err := b.Ask(t.Context(), q, time.Minute)

	require.NoError(t, err)
	require.NoError(t, unrecorded)
	require.Len(t, all, len(want))
	for _, g := range all {
		require.Equal(t, g.Outcome == gates.NotAsked, g.DeliveryID == uuid.Nil)
		g.DeliveryID = uuid.Nil
		require.Equal(t, want[g.SubscriptionID], g)
	}
	require.Equal(t, 3, b.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.intent WHERE wire_id = $1`, q.ID))
	require.Equal(t, 3, b.count(`SELECT count(*) FROM riverhook.delivery`))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.decision`))
}

func TestAsker_AGateThatDoesNotAnswerInTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(hang, nil)

	all, _, err := b.Ask(t.Context(), question(), 200*time.Millisecond)

	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, gates.Unanswered, all[0].Outcome)
	require.Equal(t, "timeout: no answer in time", all[0].Reason)
}

func TestAsker_RefusesMoreGatesThanAChunkHas(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.ChunkSize = 1
	b.gate(agree, nil)
	b.gate(agree, nil)

	_, _, err := b.Ask(t.Context(), question(), time.Minute)

	require.EqualError(t, err, "more than 1 subscriptions would have to be asked")
}

// Host code that hangs has half of the time: the others are asked.
func TestAsker_HostCodeThatHangs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	over := make(chan struct{})
	defer close(over)
	b.checks = func(access.Request) error {
		<-over
		return nil
	}
	b.gate(agree, nil)
	operator := b.gate(agree, func(s *subscription.Spec) { s.Owner, s.Operator = "", true })

	all, _, err := b.Ask(t.Context(), question(), time.Second)

	require.NoError(t, err)
	for _, g := range all {
		require.Equal(t, g.SubscriptionID == operator.ID, g.Outcome == gates.Agreed, g.Reason)
	}
}

// The history goes on where the application has gone.
func TestAsker_RecordsAfterTheEndOfItsContext(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.gate(func(w http.ResponseWriter, r *http.Request) {
		cancel()
		hang(w, r)
	}, nil)

	_, unrecorded, err := b.Ask(ctx, question(), time.Minute)

	require.NoError(t, err)
	require.NoError(t, unrecorded)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.delivery`))
}
