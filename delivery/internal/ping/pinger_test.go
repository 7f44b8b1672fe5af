package ping_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/ping"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
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
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	require.NoError(t, err)
	clients, err := credentials.NewClients(policy, egress.TransportConfig{}, 1)
	require.NoError(t, err)
	dialects, err := dialect.NewRegistry(dialect.BuiltIn()...)
	require.NoError(t, err)
	subs, err := subscription.NewStore(b.db, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	queries := store.In(b.db, "riverhook")
	opener, pool := credentials.NewOpener(seal.Clear(), queries), payloads.New(queries)
	loader := send.NewLoader(&send.LoaderConfig{
		Batch:        batch.Config{},
		Calls:        callbacks.New(),
		Frequent:     store.Frequent(b.db, "riverhook"),
		MaxAccessAge: time.Hour,
		Payloads:     pool,
		Store:        queries,
	})
	for _, closing := range []interface{ Close() }{opener, pool, loader, clients} {
		t.Cleanup(closing.Close)
	}
	b.Pinger = &ping.Pinger{
		Dialects: dialects,
		NewID:    uuid.New,
		Opener:   opener,
		Requester: &send.Requester{
			MaxTimeout: time.Minute,
			Answers: send.Answers{
				Bytes:     100,
				Retention: func(string) send.Retention { return send.Retention{Bytes: 100} },
			},
			Clients:         clients,
			Headers:         attempt.NewHeaderRecorder(nil),
			Loader:          loader,
			MaxRequestBytes: 1000,
			Clock:           time.Now,
			Now:             time.Now,
			Process:         slots.NewProcess(1),
			ThrottleWait:    time.Minute,
			Timeout:         10 * time.Second,
		},
		Running:       func() error { return b.running },
		Store:         queries,
		Subscriptions: subs,
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
