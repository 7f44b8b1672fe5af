package send_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/send"
)

// rated is a delivery to a subscription that gets one request an hour.
func (b *bundle) rated(id uuid.UUID) *send.Input {
	in := b.input()
	in.Sub.ID = id
	in.Sub.Rate = attempt.NewRate(1, time.Hour, 1)
	return in
}

// What a rate does not let through is held, without an attempt, and takes no slot; a question
// is asked whatever the rate is.
func TestRate_HoldsWhatExceedsIt(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	b := newBundle(t, 4, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	id := uuid.New()
	require.Equal(t, attempt.StateDelivered, b.attempted(b.rated(id)).State)
	for range 2 {
		tr := b.attempted(b.rated(id))
		require.Equal(t, attempt.HoldRate, tr.Hold)
		require.Equal(t, "the rate of the subscription is used up", tr.Reason)
		require.Nil(t, tr.Attempt)
		require.Zero(t, tr.Attempts)
	}
	require.Equal(t, int32(1), requests.Load())
	latest, _ := b.Slots.Limiter.InFlight(id)
	require.Zero(t, latest)

	question := b.rated(id)
	question.Question = true
	tr, why := b.Ask(t.Context(), question)
	require.Empty(t, why.Reason)
	require.Equal(t, attempt.StateDelivered, tr.State)
}

// A retry counts as any other request.
func TestRate_CountsRetries(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	id := uuid.New()
	require.True(t, b.attempted(b.rated(id)).Again)
	retry := b.rated(id)
	retry.Seq, retry.Attempts = 1, 1
	tr := b.attempted(retry)
	require.Equal(t, attempt.HoldRate, tr.Hold)
	require.Equal(t, 1, tr.Attempts)
}

// What is not sent, since its endpoint has asked to wait meanwhile, takes nothing of the rate.
func TestRate_WhatIsNotSentTakesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, answering)
	before := time.Now()
	first := b.asking(http.StatusInternalServerError, "120")
	first.Sub.Rate = attempt.NewRate(1, time.Hour, 2)
	require.NotZero(t, b.attempted(first).Asked)
	second := b.asking(http.StatusOK, "")
	second.Sub, second.ReadAt = first.Sub, before
	for range 2 {
		require.Equal(t, attempt.HoldCircuit, b.attempted(second).Hold)
	}
	third := b.asking(http.StatusOK, "")
	third.Sub.ID, third.Sub.Rate = first.Sub.ID, first.Sub.Rate
	require.Equal(t, attempt.StateDelivered, b.attempted(third).State)
}
