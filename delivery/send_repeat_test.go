package delivery_test

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/http2test"
	"github.com/riverhook/riverhook/subscription"
)

// refused are requests that a server certainly did not process.
func refused(n int) []http2test.Act {
	acts := make([]http2test.Act, n)
	for i := range acts {
		acts[i] = http2test.GoAway(0, http2.ErrCodeNo)
		if i%2 == 1 {
			acts[i] = http2test.Reset(http2.ErrCodeRefusedStream)
		}
	}
	return acts
}

// keyed is a dialect whose requests have an Idempotency-Key, for which net/http
// would repeat them.
func keyed(t *testing.T) dialect.Dialect {
	t.Helper()
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		EventHeaders: map[string]func(dialect.Event) string{
			"Idempotency-Key": func(ev dialect.Event) string { return ev.ID },
			"Webhook-Id":      func(ev dialect.Event) string { return ev.ID },
		},
		Name: "keyed",
		Signer: dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) {
			return http.Header{}, nil
		}),
	})
	require.NoError(t, err)
	return d
}

// speakKeyed gives the engines of the bundle the dialect keyed, and what it takes to
// reach servers of http2test.
func (b *bundle) speakKeyed() {
	b.t.Helper()
	var err error
	b.cfg.Dialects, err = dialect.NewRegistry(dialect.Standard(), keyed(b.t))
	require.NoError(b.t, err)
	b.cfg.Transport.RootCAs = http2test.Start(b.t).Roots // all have one certificate
	b.subs = b.engine(nil).Subscriptions()
}

// subscribeURL subscribes a URL in a dialect.
func (b *bundle) subscribeURL(url, dialectName string, change func(spec *subscription.Spec)) uuid.UUID {
	b.t.Helper()
	spec := subscription.Spec{
		URL:      url,
		Events:   []string{"**"},
		Owner:    "owner",
		Schedule: "soon",
		Dialect:  dialectName,
	}
	if change != nil {
		change(&spec)
	}
	created, err := b.subs.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	return created.ID
}

// tried returns the attempts of the only delivery of an intent.
func (b *bundle) tried(intentID string) []delivery.Attempt {
	b.t.Helper()
	found := b.deliveries(intentID)
	require.Len(b.t, found, 1)
	shown, err := b.engine(nil).History().Attempts(b.t.Context(), found[0].ID)
	require.NoError(b.t, err)
	return shown
}

func (b *bundle) circuitsOpened() int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE circuit_opened > 0`)
}

func TestAttempt_SendsAgainWhatWasNotProcessed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"standard", "keyed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speakKeyed()
			server := http2test.Start(t, refused(3)...)
			b.subscribeURL(server.URL, name, nil)
			var logged log
			id := b.enqueue(nil)

			b.drain(b.engine(func(cfg *delivery.Config) { cfg.Logger = logged.logger() }))

			attempts := b.tried(id)
			require.Len(t, attempts, 1, "it is one attempt")
			require.Equal(t, delivery.OutcomeDelivered, attempts[0].Outcome)
			require.Equal(t, 3, attempts[0].Repeats)
			shown, err := json.Marshal(attempts[0])
			require.NoError(t, err)
			require.Contains(t, string(shown), `"repeats":3`)
			require.Contains(t, logged.String(), "repeats=3")
			require.Len(t, server.Requests(), 4)
			for _, r := range server.Requests() {
				require.Equal(t, []string{id}, r.Header["webhook-id"])
				require.Equal(t, server.Requests()[0].Body, r.Body)
			}
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE failing_since IS NOT NULL`))
		})
	}
}

// What is never processed is a failure of the endpoint in the end.
func TestAttempt_FailsAfterThreeRepeats(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speakKeyed()
	server := http2test.Start(t, refused(5)...)
	b.subscribeURL(server.URL, "keyed", nil)
	id := b.enqueue(nil)

	b.drainAhead(b.engine(nil), time.Second)

	attempts := b.tried(id)
	require.Len(t, attempts, 2)
	require.Equal(t, delivery.OutcomeUnreachable, attempts[0].Outcome)
	require.Contains(t, attempts[0].Error, "reset: ")
	require.Equal(t, 3, attempts[0].Repeats)
	require.Equal(t, delivery.OutcomeDelivered, attempts[1].Outcome)
	require.Equal(t, 1, attempts[1].Repeats)
	require.Len(t, server.Requests(), 6)
}

// A request that was written may have been processed: it is sent again by the
// schedule alone, under its id.
func TestAttempt_RecordsWhatMayHaveBeenProcessed(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]http2test.Act{
		"the end":        http2test.Close,
		"GOAWAY":         http2test.All(http2test.GoAway(1, http2.ErrCodeNo), http2test.Close),
		"PROTOCOL_ERROR": http2test.Reset(http2.ErrCodeProtocol),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.speakKeyed()
			server := http2test.Start(t, act)
			b.subscribeURL(server.URL, "keyed", nil)
			id := b.enqueue(nil)

			b.drainAhead(b.engine(nil), time.Second)

			attempts := b.tried(id)
			require.Len(t, attempts, 2)
			require.Equal(t, delivery.OutcomeUnreachable, attempts[0].Outcome)
			require.Equal(t, delivery.OutcomeDelivered, attempts[1].Outcome)
			require.Zero(t, attempts[0].Repeats+attempts[1].Repeats)
			require.Len(t, server.Requests(), 2)
			for _, r := range server.Requests() {
				require.Equal(t, []string{id}, r.Header["webhook-id"])
			}
		})
	}
}

func TestCircuit_IsNotOpenedByWhatMayHaveBeenProcessed(t *testing.T) {
	t.Parallel()
	const n = 60
	b := newBundle(t)
	receiver := b.always(deliverytest.Answer{Close: true})
	b.subscribe(receiver, func(spec *subscription.Spec) { spec.Schedule = "hourly" })
	b.enqueueMany("some.event", n)

	b.drain(b.engine(nil))

	require.Len(t, receiver.Requests(), n)
	require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'unreachable' AND error LIKE 'closed: %'`))
	require.Zero(t, b.circuitsOpened())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold <> ''`))

	// The twin: a connection that is refused carries no request.
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	b.subscribeURL("http://"+listener.Addr().String(), "standard", func(spec *subscription.Spec) { spec.Schedule = "hourly" })
	b.enqueueMany("some.event", n)
	b.drain(b.engine(nil))
	require.Equal(t, 1, b.circuitsOpened())
}

// Everything that is sent goes the same way.
func TestSend_EverythingIsSentAgainThatWasNotProcessed(t *testing.T) {
	t.Parallel()
	t.Run("a ping", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		b.speakKeyed()
		server := http2test.Start(t, refused(1)...)
		a, _, err := b.engine(nil).Ping(t.Context(), b.subscribeURL(server.URL, "keyed", nil), nil)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
		require.Equal(t, 1, a.Repeats)
		require.Len(t, server.Requests(), 2)
	})
	t.Run("a question", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		b.speakKeyed()
		server := http2test.Start(t, refused(2)...)
		b.subscribeURL(server.URL, "keyed", func(spec *subscription.Spec) {
			spec.Events, spec.FailClosed = []string{"before:**"}, true
		})
		answer, err := b.engine(nil).Ask(t.Context(), mayDelete())
		require.NoError(t, err)
		require.Equal(t, []string{"agreed"}, said(answer.Gates))
		require.Equal(t, 2, b.tried(answer.ID)[0].Repeats)
		require.Len(t, server.Requests(), 3)
	})
	t.Run("a challenge", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		b.speakKeyed()
		server := http2test.Start(t, append(refused(1), func(c *http2test.Conn, r http2test.Request) {
			http2test.Reply(http.StatusOK, map[string]string{"X-Hook-Secret": r.Header["x-hook-secret"][0]}, "")(c, r)
		})...)
		sub := b.subscribeURL(server.URL, "standard", func(spec *subscription.Spec) {
			spec.Verification = subscription.VerificationRESTHooks
		})
		b.drain(b.engine(nil))
		require.Len(t, server.Requests(), 2)
		require.Equal(t, subscription.StateActive, b.subscription(sub).State)
	})
	t.Run("a request for a token", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		b.speakKeyed()
		token := http2test.Reply(http.StatusOK, map[string]string{"Content-Type": "application/json"},
			`{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 60}`)
		tokens := http2test.Start(t, append(refused(2), token)...)
		server := http2test.Start(t, refused(1)...)
		b.subscribeURL(server.URL, "standard", func(spec *subscription.Spec) { spec.Credentials = oauth2(tokens.URL) })
		id := b.enqueue(nil)
		b.drain(b.engine(nil))
		attempts := b.tried(id)
		require.Len(t, attempts, 1)
		require.Equal(t, delivery.OutcomeDelivered, attempts[0].Outcome)
		require.Equal(t, 3, attempts[0].Repeats)
		require.Len(t, tokens.Requests(), 3)
		require.Equal(t, []string{"Bearer t0ken"}, server.Requests()[1].Header["authorization"])
	})
}

// An attempt ends at its deadline, however often it may be repeated.
func TestAttempt_RepeatsNothingAfterItsDeadline(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.speakKeyed()
	silence := func(*http2test.Conn, http2test.Request) {}
	server := http2test.Start(t, append(refused(1), silence)...)
	b.subscribeURL(server.URL, "keyed", func(spec *subscription.Spec) { spec.Timeout, spec.Schedule = time.Second, "twice" })
	id := b.enqueue(nil)

	b.drain(b.engine(nil))

	attempts := b.tried(id)
	require.Len(t, attempts, 1)
	require.Equal(t, delivery.OutcomeTimeout, attempts[0].Outcome)
	require.Equal(t, 1, attempts[0].Repeats)
	require.Less(t, attempts[0].Duration, 5*time.Second)
	require.Len(t, server.Requests(), 2)
}
