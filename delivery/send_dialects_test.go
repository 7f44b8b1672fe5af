package delivery_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// captured is what a running engine has sent in one dialect: a request before its
// subscription's secret was rotated, and one after.
type captured struct {
	older, newer   string // the secrets, as the subscriber was shown them
	before, during deliverytest.Request
}

// dataInPythonsForm is what json.dumps makes of it, so that a receiver that
// decodes and encodes again has the same bytes.
const dataInPythonsForm = `{"name": "Zo\u00eb <&>", "n": [1, 2.5], "big": 12345678901234567890}`

// captureAll has an engine send an event in each of the dialects that engines know by
// default and in hub-sha1, while they rotate their secrets.
func captureAll(t *testing.T) map[string]captured {
	t.Helper()
	sha1, err := dialect.NewCustom(&dialect.CustomConfig{
		Base:   dialect.Hub(),
		Name:   "hub-sha1",
		Signer: dialect.HubSigner(&dialect.HubOpts{SHA1: true}),
	})
	require.NoError(t, err)
	dialects, err := dialect.NewRegistry(append(dialect.BuiltIn(), sha1)...)
	require.NoError(t, err)
	b := newBundle(t)
	b.cfg.Dialects = dialects
	engine := b.engine(nil)
	b.subs = engine.Subscriptions()

	out, receivers := map[string]captured{}, map[string]*deliverytest.Receiver{}
	ids := map[string]subscription.Subscription{}
	for _, name := range dialects.Names() {
		r := b.receiver(&deliverytest.ReceiverConfig{Verifier: dialect.Unsigned()})
		receivers[name] = r
		ids[name] = b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect = name })
	}
	b.start(engine)
	send := func(n int) {
		b.enqueue(func(in *outbox.Intent) { in.ID, in.Data = []string{"", "msg_1", "msg_2"}[n], []byte(dataInPythonsForm) })
		for _, r := range receivers {
			b.wait(r, n)
		}
	}
	send(1)
	for name, sub := range ids {
		secrets, err := b.subs.Secrets(t.Context(), sub.ID)
		require.NoError(t, err)
		newer, err := b.subs.RotateSecret(t.Context(), sub.ID, nil)
		require.NoError(t, err)
		out[name] = captured{older: secrets[0].Reveal(), newer: newer.Reveal()}
	}
	send(2)
	for name, c := range out {
		requests := receivers[name].Requests()
		require.Len(t, requests, 2, name)
		c.before, c.during = requests[0], requests[1]
		out[name] = c
	}
	return out
}

// verifiers are the receiving halves of the dialects of captureAll.
var verifiers = map[string]dialect.Verifier{
	"cloudevents":        dialect.CloudEventsVerifier(nil),
	"cloudevents-binary": dialect.CloudEventsVerifier(nil),
	"hub":                dialect.HubVerifier(nil),
	"hub-sha1":           dialect.HubVerifier(nil),
	"plain":              dialect.Unsigned(),
	"pywebhooks":         dialect.PyWebhooksVerifier(),
	"servo":              dialect.ServoVerifier(),
	"standard":           dialect.StandardVerifier(nil),
	"stripe":             dialect.StripeVerifier(nil),
}

func TestDialects_EachIsSpokenAlsoWhileSecretsAreRotated(t *testing.T) {
	t.Parallel()
	for name, c := range captureAll(t) {
		older, newer := []dialect.Secret{parsed(t, c.older)}, []dialect.Secret{parsed(t, c.newer)}
		verify := func(r deliverytest.Request, body []byte, secrets []dialect.Secret) error {
			return verifiers[name].Verify(r.Header, body, secrets, r.At)
		}
		require.Contains(t, string(c.before.Body), dataInPythonsForm, name)
		require.NoError(t, verify(c.before, c.before.Body, older), name)
		require.NoError(t, verify(c.during, c.during.Body, newer), name)
		require.NoError(t, verify(c.during, c.during.Body, append(older, newer...)), name)
		if name == "plain" {
			continue
		}
		require.ErrorIs(t, verify(c.before, c.before.Body, newer), dialect.ErrBadSignature, name)
		require.ErrorIs(t, verify(c.before, append(c.before.Body, ' '), older), dialect.ErrBadSignature, name)
		if overlaps(name) {
			require.NoError(t, verify(c.during, c.during.Body, older), name)
		} else {
			require.ErrorIs(t, verify(c.during, c.during.Body, older), dialect.ErrBadSignature, name)
		}
	}
}

func TestDialects_AnEventWithoutDataIsSentInEach(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	receivers := map[string]*deliverytest.Receiver{}
	for _, d := range dialect.BuiltIn() {
		r := b.receiver(&deliverytest.ReceiverConfig{Verifier: verifiers[d.Name()]})
		b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect = d.Name() })
		receivers[d.Name()] = r
	}
	b.enqueue(func(in *outbox.Intent) { in.Data = nil })
	b.drain(engine)
	for name, r := range receivers {
		require.Len(t, r.Requests(), 1, name)
		require.NoError(t, r.Err(), name)
	}
	require.Equal(t, "null", string(receivers["cloudevents-binary"].Requests()[0].Body))
	require.Contains(t, string(receivers["cloudevents"].Requests()[0].Body), `,"data":null}`)
}

// overlaps says whether a request has room for the signatures of two secrets.
func overlaps(name string) bool {
	return map[string]bool{"cloudevents": true, "cloudevents-binary": true, "standard": true, "stripe": true}[name]
}

func secretOf(text string) dialect.Secret {
	secret, err := dialect.ReadSecret(text)
	if err != nil {
		panic(err)
	}
	return secret
}

func parsed(t *testing.T, text string) dialect.Secret {
	t.Helper()
	secret, err := dialect.ParseSecret(text)
	require.NoError(t, err)
	return secret
}

func TestDialects_AllBuiltInOnesAreKnownByDefault(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Dialects = nil })
	for _, d := range dialect.BuiltIn() {
		_, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
			Dialect: d.Name(),
			Events:  []string{"**"},
			Name:    d.Name(),
			Owner:   "owner",
			URL:     "https://example.com/" + d.Name(),
		})
		require.NoError(t, err, d.Name())
	}
}
