package delivery_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/subscription"
)

func TestVerify_AnEchoOfTheBodyProvesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for name, answer := range map[string]func(body string) string{
		"the same bytes": func(body string) string { return body },
		"spelled otherwise": func(body string) string {
			return strings.NewReplacer(`"riverhook.`, `"riverhook\u002e`, ",", " ,\n").Replace(body)
		},
		"with more around it": func(body string) string { return `{"ok":true,` + strings.TrimPrefix(body, "{") },
		"in a list":           func(body string) string { return "[" + body + "]" },
		"as a member":         func(body string) string { return `{"body":` + body + `}` },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProving(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = io.WriteString(w, answer(string(body)))
			})
			sub := b.toProve(p.URL, subscription.VerificationChallenge)

			a, err := b.engine(nil).VerifyEndpoint(t.Context(), sub.ID)

			require.NoError(t, err)
			require.Equal(t, delivery.OutcomeFailed, a.Outcome)
			require.True(t, strings.HasPrefix(a.Error, "proof: the answer does not prove that the endpoint wants requests"), a.Error)
			require.Equal(t, subscription.StatePendingVerification, b.subscription(sub.ID).State)
		})
	}
}

// Those of one host, however many, cost the others no time.
func TestVerify_ChallengesOfOneHostDoNotDelayOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	crowded, other := newProving(t, nil), newProving(t, nil)
	const n = 70 // more than an engine asks at the same time
	for range n {
		b.toProve(crowded.URL, subscription.VerificationEcho)
	}
	last := b.toProve(other.URL, subscription.VerificationEcho)
	var asked sync.WaitGroup

	got, err := b.engine(nil).VerifyDue(t.Context(), asked.Go)

	require.NoError(t, err)
	require.Equal(t, 2, got)
	asked.Wait()
	require.Equal(t, subscription.StateActive, b.subscription(last.ID).State)
	require.Len(t, crowded.asked(), 1)
}

// One that does not answer keeps a few questions waiting, and not all that an engine
// may ask at the same time.
func TestVerify_ChallengesOfASilentHostLeaveRoom(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Verification.HostInterval = -1
	var waiting atomic.Int64
	answered := make(chan struct{})
	silent := newProving(t, func(w http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		<-answered
		receiver.AnswerChallenges(http.NotFoundHandler()).ServeHTTP(w, r)
	})
	for range 8 {
		b.toProve(silent.URL, subscription.VerificationEcho)
	}
	engine := b.engine(nil)
	var asked sync.WaitGroup
	look := func() int {
		got, err := engine.VerifyDue(t.Context(), asked.Go)
		require.NoError(t, err)
		return got
	}
	total := 0
	for range 8 {
		total += look()
	}
	require.Equal(t, 4, total)
	other := newProving(t, nil)
	b.toProve(other.URL, subscription.VerificationEcho)
	require.Equal(t, 1, look())
	b.eventually(func() bool { return len(other.asked()) == 1 && waiting.Load() == 4 })
	close(answered)
	asked.Wait()

	b.drain(engine)

	require.Equal(t, 9, b.count(`SELECT count(*) FROM riverhook.subscription WHERE state = 'active'`))
}

// With no HostInterval a test can ask all of its endpoints at once.
func TestVerify_WithoutAHostIntervalAHostIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	p := newProving(t, nil)
	var subs []*subscription.Created
	for range 3 {
		subs = append(subs, b.toProve(p.URL, subscription.VerificationChallenge))
	}
	_, err := b.engine(nil).VerifyEndpoint(t.Context(), subs[0].ID)
	require.NoError(t, err)
	_, err = b.engine(nil).VerifyEndpoint(t.Context(), subs[1].ID)
	require.ErrorIs(t, err, delivery.ErrVerificationThrottled)
	b.cfg.Verification.HostInterval = -1
	engine := b.engine(nil)

	_, err = engine.VerifyEndpoint(t.Context(), subs[1].ID)
	require.NoError(t, err)
	b.drain(engine)

	for _, sub := range subs {
		require.Equal(t, subscription.StateActive, b.subscription(sub.ID).State)
	}
}
