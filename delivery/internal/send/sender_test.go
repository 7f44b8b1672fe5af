package send_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
)

// answering is a receiver that answers with the status that a request's body names.
func answering(w http.ResponseWriter, r *http.Request) {
	status, _ := strconv.Atoi(r.Header.Get("X-Status"))
	if wait := r.Header.Get("X-Wait"); wait != "" {
		w.Header().Set("Retry-After", wait)
	}
	w.WriteHeader(status)
}

func (b *bundle) asking(status int, wait string) *send.Input {
	in := b.input()
	in.Sub.Headers = map[string]string{"X-Status": strconv.Itoa(status), "X-Wait": wait}
	return in
}

func TestSender_RecordsWhatFollowsFromAnAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, answering)

	delivered := b.attempted(b.asking(http.StatusNoContent, ""))
	require.Equal(t, attempt.StateDelivered, delivered.State)
	require.Equal(t, http.StatusNoContent, delivered.Attempt.Status)

	gone := b.attempted(b.asking(http.StatusGone, ""))
	require.Equal(t, attempt.StateCancelled, gone.State)

	failed := b.attempted(b.asking(http.StatusInternalServerError, ""))
	require.Equal(t, attempt.StatePending, failed.State)
	require.True(t, failed.Again)
	require.Equal(t, time.Second, failed.Wait, "by the schedule")

	last := b.asking(http.StatusInternalServerError, "")
	last.Attempts = 1
	require.Equal(t, attempt.StateExhausted, b.attempted(last).State)
}

func TestSender_RetryAfterHasItsThreeEffects(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, answering)
	in := b.asking(http.StatusInternalServerError, "120")
	in.Sub.MaxInFlight = 2
	before := time.Now()

	tr := b.attempted(in)
	require.Equal(t, 2*time.Minute, tr.Wait, "the delivery")
	require.Equal(t, 2*time.Minute, tr.Asked, "the circuit, in all engines")
	next := b.asking(http.StatusOK, "")
	next.Sub = in.Sub
	next.ReadAt = before
	require.Equal(t, attempt.HoldCircuit, b.attempted(next).Hold, "and in this one, until it reads that")
	require.True(t, b.Slots.Limiter.Acquire(t.Context(), &in.Target))
	one := make(chan bool, 1)
	b.Slots.Limiter.Enter(t.Context(), &in.Target, func(ok bool) { one <- ok })
	require.Empty(t, one, "one slot of two is left")
	b.Slots.Limiter.Leave(in.EndpointKey())
	require.True(t, <-one)
	b.Slots.Limiter.Leave(in.EndpointKey())
}

func TestSender_SendsNothingThatMayNotGoOut(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	b := newBundle(t, 4, func(http.ResponseWriter, *http.Request) { requests.Add(1) })
	for reason, change := range map[string]func(in *send.Input){
		"its message is not there any more":               func(in *send.Input) { in.MessageGone = true },
		"the subscription was deleted":                    func(in *send.Input) { in.Sub.Ended = "the subscription was deleted" },
		"the subscription is paused":                      func(in *send.Input) { in.Sub.Waits = "the subscription is paused" },
		"the endpoint asked to wait":                      func(in *send.Input) { in.AskedUntil = time.Now().Add(time.Hour) },
		`no dialect "unknown" in the process that tried`:  func(in *send.Input) { in.Dialect = "unknown" },
		`no schedule "unknown" in the process that tried`: func(in *send.Input) { in.Sub.Schedule = "unknown" },
		send.SigningUnopened:                              func(in *send.Input) { in.Stored = [][]byte{{1}} },

		`no access checker for resources of kind "" in the process that tried`: func(in *send.Input) { in.Sub.Operator = false },
	} {
		in := b.input()
		change(in)
		tr := b.attempted(in)
		require.Equal(t, reason, tr.Reason)
		require.Nil(t, tr.Attempt)
	}
	require.Zero(t, requests.Load())
}

func TestSender_RecordsAnInterruptedAttemptOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, answering)
	in := b.asking(http.StatusOK, "")
	_, err := b.pool.Exec(t.Context(), `
		INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, attempt_seq)
		VALUES ($1, $2, $3, 'plain', '/', 0, 1)`, in.ID, in.IntentID, in.Sub.ID)
	require.NoError(t, err)
	require.NoError(t, b.Attempt(t.Context(), callbacks.JobRef{JobID: 1, Rerun: true}, in, time.Now()))
	require.Len(t, b.recorded, 2)
	require.Equal(t, attempt.OutcomeInterrupted, b.recorded[0].Attempt.Outcome)
	require.True(t, b.recorded[0].Stay)
	require.Equal(t, attempt.StateDelivered, b.recorded[1].State)
}

func TestAsk_ReturnsTheAnswerOfAGate(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 4, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", dialect.ContentTypeCancel)
		_, _ = w.Write([]byte(`{"reason":"not today"}`))
	})
	in := b.input()
	in.Question = true
	tr, why := b.Ask(t.Context(), in)
	require.Zero(t, why)
	require.Equal(t, attempt.OutcomeVetoed, tr.Attempt.Outcome)
	require.Equal(t, "not today", tr.Reason)

	in = b.input()
	in.Sub.Ended = "the subscription was deleted"
	tr, why = b.Ask(t.Context(), in)
	require.Nil(t, tr)
	require.Equal(t, "the subscription was deleted", why.Reason)
}
