package ping_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/ping"
	"github.com/riverhook/riverhook/delivery/internal/send/sendtest"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// received is a request as the endpoint got it.
type received struct {
	body   string
	header http.Header
	method string
}

// bundle is a pinger of real parts, without an engine, and an endpoint.
type bundle struct {
	*ping.Pinger

	t        *testing.T
	db       *pgxpool.Pool
	endpoint *httptest.Server
	requests []received // one at a time
	running  error
	status   int
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{
		t:      t,
		db:     pgtest.Pool(t),
		status: http.StatusNoContent,
	}
	b.endpoint = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.requests = append(b.requests, received{
			body:   string(body),
			header: r.Header,
			method: r.Method,
		})
		w.WriteHeader(b.status)
	}))
	t.Cleanup(b.endpoint.Close)
	parts := sendtest.New(t, b.db, 1, nil)
	b.Pinger = &ping.Pinger{
		Dialects:      parts.Decider.Messages.Dialects,
		NewID:         uuid.New,
		Opener:        parts.Opener,
		Process:       parts.Slots.Process,
		ShareOf:       parts.Slots.ShareOf,
		Requester:     parts.Requester,
		Running:       func() error { return b.running },
		Store:         parts.Queries,
		Subscriptions: parts.Subscriptions,
	}
	return b
}

func (b *bundle) subscribe(change func(*subscription.Spec)) *subscription.Created {
	b.t.Helper()
	spec := subscription.Spec{
		Events: []string{"**"},
		Owner:  "acme",
		Site:   "/",
		URL:    b.endpoint.URL,
	}
	if change != nil {
		change(&spec)
	}
	created, err := b.Subscriptions.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	return created
}

func TestPing_IsSignedAsADelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(nil)

	sent, err := b.Ping(t.Context(), sub.ID, false)

	require.NoError(t, err)
	require.Equal(t, attempt.OutcomeDelivered, sent.Attempt.Outcome)
	require.True(t, sent.Attempt.Manual)
	require.Equal(t, attempt.EndpointKey{SubscriptionID: sub.ID, URLVersion: sub.URLVersion}, sent.Endpoint)
	require.Len(t, b.requests, 1)
	got := b.requests[0]
	require.Contains(t, got.body, sub.ID.String())
	require.Contains(t, got.body, event.Ping)
	require.NoError(t, dialect.StandardVerifier(nil).Verify(got.header, []byte(got.body), []dialect.Secret{sub.Secret}, time.Now()))
}

func TestPing_SignsWithThePendingSecretAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(nil)
	_, err := b.Ping(t.Context(), sub.ID, true)
	require.ErrorIs(t, err, notfound.Err, "none is pending")
	pending, err := b.Subscriptions.RotateSecret(t.Context(), sub.ID, &subscription.RotateOpts{Confirm: true})
	require.NoError(t, err)

	sent, err := b.Ping(t.Context(), sub.ID, true)

	require.NoError(t, err)
	require.NotEqual(t, uuid.Nil, sent.Secret)
	got := b.requests[0]
	require.NoError(t, dialect.StandardVerifier(nil).Verify(got.header, []byte(got.body), []dialect.Secret{pending}, time.Now()))
	require.Error(t, dialect.StandardVerifier(nil).Verify(got.header, []byte(got.body), []dialect.Secret{sub.Secret}, time.Now()))
}

func TestPing_SaysWhyThereWasNoRequest(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(nil)
	_, err := b.Ping(t.Context(), uuid.New(), false)
	require.ErrorIs(t, err, notfound.Err)
	b.running = errors.New("the engine does not run")
	_, err = b.Ping(t.Context(), sub.ID, false)
	require.ErrorIs(t, err, b.running)
	require.Empty(t, b.requests)
}

func TestPing_WaitsForASlotOfTheProcess(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.status = http.StatusTeapot
	sub := b.subscribe(nil)
	slot, _ := b.Process.Acquire(t.Context(), slots.Share{Name: "/other"})
	var sent ping.Pinged
	done := make(chan error, 1)
	go func() {
		var err error
		sent, err = b.Ping(t.Context(), sub.ID, false)
		done <- err
	}()
	short, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Ping(short, sub.ID, false)
	require.ErrorIs(t, err, context.Canceled, "there is no slot")
	slot.Leave()
	require.NoError(t, <-done)
	require.Equal(t, http.StatusTeapot, sent.Attempt.Status)
	require.Equal(t, attempt.OutcomeRejected, sent.Attempt.Outcome)
	require.Len(t, b.requests, 1)
}

func TestRelease_WithoutWaitsChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(nil)
	released, err := b.Release(t.Context(), attempt.EndpointKey{SubscriptionID: sub.ID, URLVersion: sub.URLVersion})
	require.NoError(t, err)
	require.Zero(t, released)
}

func TestChallenge_SendsWhatIsBuiltToTheClaimedURL(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(func(spec *subscription.Spec) {
		spec.SecretHeaders = map[string]string{"X-Key": "k3y"}
		spec.Verification = subscription.VerificationChallenge
	})
	claim := verify.Claim{
		SubscriptionID: sub.ID,
		Tries:          3,
		URL:            b.endpoint.URL,
	}
	build := func(to verify.Endpoint) (dialect.Request, error) {
		require.Equal(t, subscription.VerificationChallenge, to.Method)
		require.Equal(t, "k3y", to.Bare(http.MethodGet).Header.Get("X-Key"))
		return to.Post([]byte(`{"challenge":"1"}`))
	}

	got, err := b.Challenge(t.Context(), claim, build)

	require.NoError(t, err)
	require.Equal(t, 3, got.Attempt.Number)
	require.Equal(t, attempt.OutcomeDelivered, got.Attempt.Outcome)
	require.JSONEq(t, `{"challenge":"1"}`, b.requests[0].body)
	sent := b.requests[0]
	require.NoError(t, dialect.StandardVerifier(nil).Verify(sent.header, []byte(sent.body), []dialect.Secret{sub.Secret}, time.Now()))

	claim.URL = "https://example.com/another"
	_, err = b.Challenge(t.Context(), claim, build)
	require.ErrorIs(t, err, notfound.Err, "it is not the URL of the subscription")
}

// The statement waits for a row that an application has locked, and its retry becomes due.
func TestRelease_LeavesWhatBecameDueMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	sub := b.subscribe(nil)
	var id uuid.UUID
	require.NoError(t, b.db.QueryRow(t.Context(), `INSERT INTO riverhook.delivery
			(id, intent_id, subscription_id, dialect, matched_site, epoch, job_id, due_at)
		VALUES (gen_random_uuid(), gen_random_uuid(), $1, 'standard', '/', 1, 1, now() + interval '2 seconds')
		RETURNING id`, sub.ID).Scan(&id))
	locked, err := b.db.Begin(t.Context())
	require.NoError(t, err)
	defer locked.Rollback(context.Background())
	_, err = locked.Exec(t.Context(), `SELECT FROM riverhook.delivery FOR UPDATE`)
	require.NoError(t, err)
	held := make(chan store.HoldRetriesRow, 1)

	go func() {
		step, _ := b.Store.HoldRetries(context.Background(), &store.HoldRetriesParams{
			SubscriptionID: sub.ID,
			Epoch:          1,
			MaxRows:        10,
		})
		held <- step
	}()
	pgtest.RequireWaiting(t, b.db, 1)
	require.Eventually(t, func() bool {
		var due bool
		err := b.db.QueryRow(t.Context(), `SELECT due_at < clock_timestamp() FROM riverhook.delivery`).Scan(&due)
		return err == nil && due
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, locked.Rollback(t.Context()))

	require.Zero(t, (<-held).Moved)
}
