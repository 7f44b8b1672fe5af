package verify_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// bundle is a database, its store of subscriptions, and an endpoint.
type bundle struct {
	t        *testing.T
	db       *pgxpool.Pool
	endpoint *httptest.Server
	proves   atomic.Bool // whether the endpoint answers challenges
	requests atomic.Int32
	subs     *subscription.Store
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, db: pgtest.Pool(t)}
	b.proves.Store(true)
	prove := receiver.AnswerChallenges(http.NotFoundHandler())
	b.endpoint = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		if b.proves.Load() {
			prove.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(b.endpoint.Close)
	var err error
	b.subs, err = subscription.NewStore(b.db, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	return b
}

func (b *bundle) subscribe(method subscription.Verification) uuid.UUID {
	b.t.Helper()
	created, err := b.subs.Create(b.t.Context(), subscription.Spec{
		Events:       []string{"**"},
		Owner:        "acme",
		Site:         "/",
		URL:          b.endpoint.URL,
		Verification: method,
	})
	require.NoError(b.t, err)
	return created.ID
}

func (b *bundle) get(id uuid.UUID) *subscription.Subscription {
	b.t.Helper()
	sub, err := b.subs.Get(b.t.Context(), id)
	require.NoError(b.t, err)
	return sub
}

// send is a request without what an engine adds to it.
func (b *bundle) send(
	ctx context.Context, c verify.Claim, build func(verify.Endpoint) (dialect.Request, error),
) (got verify.Answer, err error) {
	sub, err := b.subs.Get(ctx, c.SubscriptionID)
	if err != nil {
		return got, err
	}
	built, err := build(verify.Endpoint{
		Bare: func(method string) dialect.Request {
			return dialect.Request{
				Header: http.Header{},
				Method: method,
				URL:    c.URL,
			}
		},
		Method: sub.Verification,
		Post: func(body []byte) (dialect.Request, error) {
			return dialect.Request{
				Body:   body,
				Header: http.Header{},
				Method: http.MethodPost,
				URL:    c.URL,
			}, nil
		},
	})
	if err != nil {
		return got, err
	}
	req, err := http.NewRequestWithContext(ctx, built.Method, built.URL, bytes.NewReader(built.Body))
	if err != nil {
		return got, err
	}
	req.Header = built.Header
	req.Header.Set("Webhook-Request-Origin", "hooks.example.com")
	resp, err := b.endpoint.Client().Do(req)
	if err != nil {
		return got, err
	}
	defer resp.Body.Close()
	got.Attempt = &attempt.Attempt{
		Number:  c.Tries,
		Outcome: attempt.OutcomeDelivered,
		Status:  resp.StatusCode,
	}
	got.Header = resp.Header
	got.Body, err = io.ReadAll(resp.Body)
	return got, err
}

func (b *bundle) verifier(change func(*verify.Config)) *verify.Verifier {
	cfg := verify.Config{
		Frequent: store.Frequent(b.db, "riverhook"),
		Log:      slog.New(slog.DiscardHandler),
		Random:   func() float64 { return 0.5 },
		Rules: verify.Rules{
			Interval: time.Millisecond,
			Origin:   "hooks.example.com",
			Schedule: attempt.Schedule{Delays: []time.Duration{time.Hour}},
		},
		Send:        b.send,
		Store:       store.In(b.db, "riverhook"),
		TroubleWait: func(d time.Duration) time.Duration { return d },
	}
	if change != nil {
		change(&cfg)
	}
	return verify.New(cfg)
}

// pass makes what waits in the database older.
func (b *bundle) pass(d time.Duration) {
	b.t.Helper()
	_, err := b.db.Exec(b.t.Context(), `
		UPDATE riverhook.endpoint_challenge SET due_at = due_at - $1 * interval '1 ms', asking_until = asking_until - $1 * interval '1 ms',
			asked_at = asked_at - $1 * interval '1 ms'`, d.Milliseconds())
	require.NoError(b.t, err)
}

func TestVerify_PutsAURLInForceByEachMethod(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	v := b.verifier(nil)
	for _, method := range subscription.Verifications() {
		id := b.subscribe(method)
		require.Equal(t, subscription.StatePendingVerification, b.get(id).State)
		a, err := v.Verify(t.Context(), id)
		require.NoError(t, err, method)
		require.Equal(t, attempt.OutcomeDelivered, a.Outcome, method)
		require.Equal(t, subscription.StateActive, b.get(id).State, method)
		_, err = v.Verify(t.Context(), id)
		require.ErrorIs(t, err, notfound.Err, "nothing waits any more")
	}
}

func TestVerify_SaysWhatAnAnswerProves(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.proves.Store(false)
	id := b.subscribe(subscription.VerificationChallenge)
	a, err := b.verifier(nil).Verify(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, attempt.OutcomeFailed, a.Outcome)
	require.Contains(t, a.Error, "does not prove")
	require.Equal(t, a.Error, b.get(id).VerificationError)
	require.Equal(t, subscription.StatePendingVerification, b.get(id).State)
}

func TestVerify_IsThrottled(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.proves.Store(false)
	v := b.verifier(func(cfg *verify.Config) { cfg.Rules.Interval = time.Hour })
	id := b.subscribe(subscription.VerificationChallenge)
	_, err := v.Verify(t.Context(), id)
	require.NoError(t, err)
	_, err = v.Verify(t.Context(), id)
	require.ErrorIs(t, err, verify.ErrThrottled)
	require.EqualValues(t, 1, b.requests.Load())
}

func TestVerifyDue_FollowsTheSchedule(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.proves.Store(false)
	v := b.verifier(nil)
	id := b.subscribe(subscription.VerificationChallenge)

	require.NoError(t, v.VerifyAll(t.Context()))
	require.NoError(t, v.VerifyAll(t.Context()))
	require.EqualValues(t, 1, b.requests.Load(), "the second is due in an hour")
	require.Empty(t, b.get(id).StateReason)
	b.pass(time.Hour)
	require.NoError(t, v.VerifyAll(t.Context()))
	require.EqualValues(t, 2, b.requests.Load())
	require.Contains(t, b.get(id).StateReason, "it is asked no more: ")
	b.pass(24 * time.Hour)
	require.NoError(t, v.VerifyAll(t.Context()))
	require.EqualValues(t, 2, b.requests.Load(), "the schedule has ended")
}

func TestVerifyDue_ARequestThatCannotBeMadeUsesUpNoTry(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	missing := errors.New("no dialect in this process")
	v := b.verifier(func(cfg *verify.Config) {
		cfg.Send = func(context.Context, verify.Claim, func(verify.Endpoint) (dialect.Request, error)) (verify.Answer, error) {
			return verify.Answer{}, missing
		}
	})
	id := b.subscribe(subscription.VerificationChallenge)
	for range 5 { // more than the schedule has
		_, err := v.Verify(t.Context(), id)
		require.ErrorIs(t, err, missing)
		b.pass(24 * time.Hour)
	}
	require.Empty(t, b.get(id).StateReason)
	require.Equal(t, "the request could not be made", b.get(id).VerificationError)
	require.NoError(t, b.verifier(nil).VerifyAll(t.Context()))
	require.Equal(t, subscription.StateActive, b.get(id).State)
}
