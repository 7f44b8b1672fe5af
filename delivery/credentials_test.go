package delivery_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/subscription"
)

// authorizations are the Authorization headers of what a receiver was sent.
func authorizations(r *deliverytest.Receiver) []string {
	var out []string
	for _, req := range r.Requests() {
		out = append(out, strings.Join(req.Header.Values("Authorization"), " and "))
	}
	return out
}

// tokenServer is a token endpoint, that answers what it is scripted for and then
// with tokens "token-1", "token-2" and so on, which last for a minute.
type tokenServer struct {
	*httptest.Server

	mu     sync.Mutex
	script []http.HandlerFunc
	forms  []url.Values
	basics []string
	hosts  []string
}

func newTokenServer(t *testing.T, script ...http.HandlerFunc) *tokenServer {
	t.Helper()
	s := &tokenServer{script: script}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	_ = r.ParseForm()
	s.forms = append(s.forms, r.PostForm)
	s.basics = append(s.basics, r.Header.Get("Authorization"))
	s.hosts = append(s.hosts, r.Host)
	n := len(s.forms)
	answer := grant(fmt.Sprintf("token-%d", n), 60)
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.mu.Unlock()
	answer(w, r)
}

func (s *tokenServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

// grant answers with a token that lasts for some seconds.
func grant(token string, seconds int) http.HandlerFunc {
	return says(http.StatusOK, fmt.Sprintf(`{"access_token": %q, "token_type": "Bearer", "expires_in": %d}`, token, seconds))
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// oauth2 are credentials for a token endpoint.
func oauth2(tokenURL string) subscription.Credentials {
	return subscription.Credentials{OAuth2: &subscription.OAuth2Credentials{
		AuthStyle:    "header",
		ClientID:     "hooks",
		ClientSecret: "cl1ent-s3cret",
		TokenURL:     tokenURL,
	}}
}

// authorized subscribes a receiver with credentials.
func (b *bundle) authorized(r *deliverytest.Receiver, c subscription.Credentials) uuid.UUID {
	b.t.Helper()
	return b.subscribe(r, func(spec *subscription.Spec) { spec.Credentials, spec.Schedule = c, "twice" }).ID
}

func TestCredentials_RequestsCarryThoseOfTheirSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)

	for want, c := range map[string]subscription.Credentials{
		"":                       {},
		"Basic aG9va3M6cGFzcw==": {Basic: &subscription.BasicCredentials{Username: "hooks", Password: "pass"}},
		"Bearer b34rer":          {Bearer: "b34rer"},
		"Bearer token-1":         oauth2(newTokenServer(t).URL),
	} {
		r := b.receiver(nil)
		id := b.authorized(r, c)
		b.enqueue(nil)
		b.drain(engine)
		a, _, err := engine.Ping(t.Context(), id, nil)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
		require.Equal(t, []string{want, want}, authorizations(r))
		require.NoError(t, b.subs.Delete(t.Context(), id))
	}
}

func TestToken_IsAskedForOnceAndKeptUntilItExpires(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	lasting, passing := newTokenServer(t), newTokenServer(t, grant("soon-over", 5))
	one, other := b.receiver(nil), b.receiver(nil)
	credentials := oauth2(lasting.URL)
	credentials.OAuth2.Scopes, credentials.OAuth2.Params = []string{"hooks:write", "x"}, map[string]string{"audience": "hooks"}
	b.authorized(one, credentials)
	inBody := oauth2(passing.URL)
	inBody.OAuth2.AuthStyle = "params"
	b.authorized(other, inBody)

	for range 3 {
		b.enqueue(nil)
		b.drain(engine)
	}

	require.Equal(t, []string{"Bearer token-1", "Bearer token-1", "Bearer token-1"}, authorizations(one))
	require.Equal(t, 1, lasting.asked())
	require.Equal(t, url.Values{
		"audience": {"hooks"}, "grant_type": {"client_credentials"}, "scope": {"hooks:write x"},
	}, lasting.forms[0])
	require.Equal(t, "Basic aG9va3M6Y2wxZW50LXMzY3JldA==", lasting.basics[0])
	require.Equal(t, []string{"Bearer soon-over", "Bearer token-2", "Bearer token-2"}, authorizations(other))
	require.Equal(t, "cl1ent-s3cret", passing.forms[0].Get("client_secret"))
	require.Empty(t, passing.basics[0])
}

func TestToken_IsAskedForAtAnInternationalHostInASCII(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	tokens := newTokenServer(t)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Resolver = resolver{"127.0.0.1"} })
	})
	at := func(host string) subscription.Credentials {
		return oauth2(strings.Replace(tokens.URL, "127.0.0.1", host, 1))
	}
	port := strings.TrimPrefix(tokens.URL, "http://127.0.0.1")

	sub := b.authorized(b.receiver(nil), at("b\u00fccher.example"))
	a, _, err := engine.Ping(t.Context(), sub, nil)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	changed := at("m\u00e4rz.example")
	_, err = b.subs.Update(t.Context(), sub, subscription.Update{Credentials: &changed})
	require.NoError(t, err)
	a, _, err = engine.Ping(t.Context(), sub, nil)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)

	require.Equal(t, []string{"xn--bcher-kva.example" + port, "xn--mrz-qla.example" + port}, tokens.hosts)
}

func TestToken_ManyRequestsAtOnceShareOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	tokens := newTokenServer(t)
	r := b.receiver(nil)
	b.authorized(r, oauth2(tokens.URL))

	b.enqueueMany("user.created", 50)
	b.drain(b.engine(nil))

	require.Len(t, r.Requests(), 50)
	require.Equal(t, 1, tokens.asked())
}

func TestToken_OneThatWasWithdrawnIsReplacedOnceInAnAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	tokens := newTokenServer(t)
	r := b.receiver(nil)
	b.authorized(r, oauth2(tokens.URL))
	b.enqueue(nil)
	b.drain(engine)

	r.Script(deliverytest.Answer{Status: 401})
	id := b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, []string{"delivered"}, b.history(id), "one attempt, whatever it took")
	require.Equal(t, []string{"Bearer token-1", "Bearer token-1", "Bearer token-2"}, authorizations(r))
	requests := received(r, id)
	require.Len(t, requests, 2)
	require.Equal(t, requests[0].Body, requests[1].Body)
	require.Equal(t, requests[0].Header.Get("Webhook-Signature"), requests[1].Header.Get("Webhook-Signature"))

	r.Script(deliverytest.Answer{Status: 401}, deliverytest.Answer{Status: 401})
	id = b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, []string{"rejected"}, b.history(id))
	require.Equal(t, 3, tokens.asked())

	fresh := b.receiver(nil)
	fresh.Script(deliverytest.Answer{Status: 401})
	b.authorized(fresh, oauth2(newTokenServer(t).URL))
	id = b.enqueue(nil)
	b.drain(engine)
	require.Len(t, received(fresh, id), 1, "a token that was asked for just now is not asked for again")
}

func TestToken_FailuresOfItsEndpointAreToldApart(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	const secret = "cl1ent-s3cret"
	nobody, elsewhere := newTokenServer(t), newTokenServer(t)
	nobody.Close()
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for _, err := w.Write(nil); err == nil; {
			_, err = w.Write(make([]byte, 32<<10))
		}
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	at := func(answer http.HandlerFunc) string { return newTokenServer(t, answer).URL }
	r := b.receiver(nil)
	want := map[uuid.UUID][2]string{}
	for _, tc := range []struct{ tokenURL, outcome, text string }{
		{
			at(says(401, `{"error": "invalid_client", "error_description": "`+secret+`"}`)), "rejected",
			"token: the token endpoint answered 401 (invalid_client)",
		},
		{at(says(200, `{"error": "invalid_scope"}`)), "rejected", "token: the token endpoint answered 200 (invalid_scope)"},
		{at(says(400, `{"error": "`+secret+`"}`)), "rejected", "token: the token endpoint answered 400"},
		{at(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP), "rejected", "token: the token endpoint answered 307"},
		{at(says(500, secret)), "unreachable", "token: the token endpoint answered 500"},
		{at(says(429, secret)), "unreachable", "token: the token endpoint answered 429"},
		{nobody.URL, "unreachable", "token: the token endpoint: connection refused"},
		{at(hangs), "timeout", "token: the token endpoint did not answer in time"},
		{at(endless), "failed", "token: the answer of the token endpoint holds no bearer token"},
		{at(says(200, secret)), "failed", "token: the answer of the token endpoint holds no bearer token"},
		{at(says(200, `{"access_token": "a", "token_type": "mac"}`)), "failed", "token: the answer of the token endpoint holds no bearer token"},
		{at(grant("a\r\nX-Evil: b", 60)), "failed", "token: the answer of the token endpoint holds no bearer token"},
		{"http://tokens.example.com/", "blocked", "blocked: address not allowed"},
	} {
		want[b.authorized(r, oauth2(tc.tokenURL))] = [2]string{tc.outcome, tc.text}
	}

	id := b.enqueue(nil)
	b.drain(b.engine(func(cfg *delivery.Config) {
		cfg.Timeouts.Request = time.Second
		cfg.Egress = b.policy(func(cfg *egress.Config) { cfg.Resolver = resolver{"10.0.0.1"} })
	}))

	got := map[uuid.UUID][2]string{}
	for _, d := range b.deliveries(id) {
		require.Equal(t, "pending", d.State)
		attempts := b.attempts(d.ID)
		require.Len(t, attempts, 1)
		got[d.Subscription] = [2]string{attempts[0].Outcome, attempts[0].Error}
	}
	require.Equal(t, want, got)
	require.Empty(t, r.Requests())
	require.Zero(t, elsewhere.asked())
}

func TestCredentials_ThatChangedAreUsedFromThenOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	r := b.receiver(nil)
	id := b.authorized(r, subscription.Credentials{Bearer: "first"})
	update := func(u subscription.Update) {
		_, err := b.subs.Update(t.Context(), id, u)
		require.NoError(t, err)
		b.enqueue(nil)
		b.drain(engine)
	}

	update(subscription.Update{})
	update(subscription.Update{Credentials: &subscription.Credentials{Bearer: "second"}})
	name := "renamed"
	update(subscription.Update{Name: &name})
	update(subscription.Update{Credentials: &subscription.Credentials{}})
	update(subscription.Update{Credentials: &subscription.Credentials{Bearer: "third"}})

	require.Equal(t, []string{"Bearer first", "Bearer second", "Bearer second", "", "Bearer third"}, authorizations(r))
	require.Equal(t, 4, b.subscription(id).CredentialsVersion)
}

func TestCredentials_AreSealedAndShownNowhere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	lines := &log{}
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	ca := newAuthority(t)
	mine := ca.sign()
	hidden := []string{"b34rer", "p4ss", "cl1ent-s3cret", "token-1", "token-2", strings.Split(mine.key, "\n")[1]}
	tokens := newTokenServer(t, grant("token-1", 60), says(400, `{"error": "cl1ent-s3cret"}`))
	var shown []any
	for _, c := range []subscription.Credentials{
		{Bearer: "b34rer"}, {Basic: &subscription.BasicCredentials{Username: "u", Password: "p4ss"}}, oauth2(tokens.URL), oauth2(tokens.URL),
	} {
		r := b.receiver(nil)
		r.Script(deliverytest.Answer{Status: 401})
		sub := b.subscribe(r, func(spec *subscription.Spec) {
			spec.Credentials, spec.Schedule = c, "twice"
			spec.TLS = subscription.EndpointTLS{
				RootCAs:     ca.pem(),
				Certificate: mine.cert,
				Key:         subscription.Credential(mine.key),
			}
			shown = append(shown, *spec, spec)
		})
		a, _, err := engine.Ping(t.Context(), sub.ID, nil)
		require.NoError(t, err)
		got, err := b.subs.Get(t.Context(), sub.ID)
		require.NoError(t, err)
		shown = append(shown, c, sub, got, a, c.Basic, c.OAuth2)
	}
	listed, err := listed(b.subs.List(t.Context(), nil))
	require.NoError(t, err)
	id := b.enqueue(nil)
	b.drain(engine)
	record, err := engine.History().Intent(t.Context(), id)
	require.NoError(t, err)
	shown = append(shown, listed, record)
	for _, d := range b.deliveries(id) {
		attempts, err := engine.History().Attempts(t.Context(), d.ID)
		require.NoError(t, err)
		require.Len(t, attempts, 1)
		if attempts[0].Outcome == delivery.OutcomeDelivered {
			require.Equal(t, "[redacted]", attempts[0].RequestHeaders["Authorization"])
		}
		shown = append(shown, attempts)
	}

	texts := []string{
		lines.String(),
		b.text(`SELECT string_agg(encode(value, 'escape'), ' ') FROM riverhook.endpoint_auth`),
		b.text(`SELECT string_agg(s::text, ' ') FROM riverhook.subscription s`),
		b.text(`SELECT string_agg(a::text, ' ') FROM riverhook.attempt a`),
	}
	for _, v := range shown {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		texts = append(texts, string(text), fmt.Sprintf("%v %+v %#v", v, v, v))
	}
	require.Equal(t, 8, b.count(`SELECT count(*) FROM riverhook.endpoint_auth WHERE sealed`))
	for _, secret := range hidden {
		for i, text := range texts {
			require.NotContains(t, text, secret, "text %d", i)
		}
	}
}

func TestCredentials_OfADeletedSubscriptionAreDeleted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	one := b.authorized(b.receiver(nil), subscription.Credentials{Bearer: "one"})
	b.authorized(b.receiver(nil), subscription.Credentials{Bearer: "other"})
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.endpoint_auth`))

	require.NoError(t, b.subs.Delete(t.Context(), one))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.endpoint_auth`))
	_, err := b.subs.DeleteByOwner(t.Context(), "owner", nil)
	require.NoError(t, err)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.endpoint_auth`))
}

func TestCredentials_ThatCannotBeOpenedWaitForAProcessThatCan(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.authorized(r, subscription.Credentials{Bearer: "b34rer"})
	other := b.authorized(b.receiver(nil), subscription.Credentials{Bearer: "of-another"})

	// What was sealed for one subscription opens for no other.
	b.exec(`UPDATE riverhook.endpoint_auth a SET value = o.value FROM riverhook.endpoint_auth o
		WHERE a.subscription_id = $1 AND o.subscription_id = $2`, sub, other)
	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	d := b.delivery(id, sub)
	require.Equal(t, []any{"pending", 0}, []any{d.State, d.Attempts})
	require.Equal(t, "its credentials, headers or TLS settings cannot be opened in the process that tried", d.Reason)
	require.Empty(t, b.outcomes(d.ID))
	require.Empty(t, r.Requests())
	require.Equal(t, "cause", d.Hold)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
	_, _, err := b.engine(nil).Ping(t.Context(), sub, nil)
	require.ErrorContains(t, err, "endpoint credentials")
	require.Equal(t, []string{"delivered"}, b.outcomes(b.delivery(id, other).ID))
}
