package dialect_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/dialect/dialecttest"
)

func TestNewCustom_RefusesWhatMakesNoSenseAndNamesTheField(t *testing.T) {
	t.Parallel()
	eventType := func(ev dialect.Event) string { return ev.Type }
	for want, cfg := range map[string]*dialect.CustomConfig{
		"dialect: CustomConfig.Base: must be a dialect of this package, or one that NewCustom has made": {
			Name: "a", Base: named{dialect.Hub(), "hub"},
		},
		"dialect: CustomConfig.ContentType: header Content-Type: the value has a control character (byte 1)": {
			Name: "a", ContentType: "a\r\nb",
		},
		`dialect: CustomConfig.EventHeaders: header "X Y": the name has a character that is not allowed`: {
			Name: "a", EventHeaders: map[string]func(dialect.Event) string{"X Y": eventType},
		},
		"dialect: CustomConfig.EventHeaders: header X-A: the function is nil": {
			Name: "a", EventHeaders: map[string]func(dialect.Event) string{"X-A": nil},
		},
		"dialect: CustomConfig.Headers: header x-a is there twice": {
			Name:         "a",
			Headers:      map[string]string{"x-a": "1"},
			EventHeaders: map[string]func(dialect.Event) string{"X-A": eventType},
		},
		`dialect: CustomConfig.Headers: header "": the name is empty`: {Name: "a", Headers: map[string]string{"": "1"}},
		"dialect: CustomConfig.Headers: header X-A: the value has a control character (byte 0)": {
			Name: "a", Headers: map[string]string{"X-A": "\x7f"},
		},
		"dialect: CustomConfig.Headers: header content-length belongs to the transport": {
			Name: "a", Headers: map[string]string{"content-length": "1"},
		},
		"dialect: CustomConfig.Headers: header User-Agent has a field of its own": {
			Name: "a", Headers: map[string]string{"User-Agent": "1"},
		},
		`dialect: CustomConfig.Method: "GET", must be POST, PUT or PATCH`:           {Name: "a", Method: http.MethodGet},
		`dialect: CustomConfig.Name: name "": must be 1 to 64 of a-z, 0-9, _ and -`: nil,
		"dialect: CustomConfig.Signer: a nil pointer or function":                   {Name: "a", Signer: dialect.SignerFunc(nil)},
		"dialect: CustomConfig.UserAgent: header User-Agent: the value has a control character (byte 0)": {
			Name: "a", UserAgent: "\n",
		},
	} {
		_, err := dialect.NewCustom(cfg)
		require.EqualError(t, err, want)
	}
}

func TestCustom_SendsWhatItsPartsSay(t *testing.T) {
	t.Parallel()
	at := dialect.Attempt{Number: 1, At: time.Unix(1700000000, 0)}
	ev := dialect.Event{
		ID:           "msg_1",
		Type:         "user.created",
		ResourceKind: "user",
		ResourceID:   "42",
		OccurredAt:   at.At,
	}
	setup := func(t *testing.T, cfg *dialect.CustomConfig) dialect.Dialect {
		t.Helper()
		d, err := dialect.NewCustom(cfg)
		require.NoError(t, err)
		return d
	}
	build := func(t *testing.T, d dialect.Dialect, to dialect.Destination) dialect.Request {
		t.Helper()
		msg, err := d.Envelope(ev, []byte(`{"a": 1}`))
		require.NoError(t, err)
		req, err := d.Request(msg, to, at)
		require.NoError(t, err)
		return req
	}

	t.Run("WithANameAloneIsStandard", func(t *testing.T) {
		t.Parallel()
		to := dialect.Destination{URL: "https://example.com", Secrets: []dialect.Secret{parse(t, secretText)}}
		dialecttest.RequireRequest(t, build(t, dialect.Standard(), to), build(t, setup(t, &dialect.CustomConfig{Name: "mine"}), to))
	})

	t.Run("HasThePartsOfItsBaseWhereItHasNoneOfItsOwn", func(t *testing.T) {
		t.Parallel()
		to := dialect.Destination{URL: "https://example.com", Secrets: []dialect.Secret{parse(t, secretText)}}
		for _, base := range []dialect.Dialect{
			dialect.CloudEvents(), dialect.CloudEventsBinary(), dialect.Hub(), dialect.Plain(), dialect.PyWebhooks(), dialect.Servo(),
			dialect.Standard(), dialect.Stripe(),
			setup(t, &dialect.CustomConfig{
				ContentType: "a/b",
				Method:      http.MethodPut,
				Name:        "a",
				UserAgent:   "b",
			}),
		} {
			d := setup(t, &dialect.CustomConfig{Base: base, Name: "mine"})
			require.Equal(t, "mine", d.Name())
			dialecttest.RequireRequest(t, build(t, base, to), build(t, d, to))
		}
		d := setup(t, &dialect.CustomConfig{
			Base:         dialect.Hub(),
			ContentType:  "a/b",
			Envelope:     dialect.EnvelopeThin,
			Headers:      map[string]string{"X-Source": "directory"},
			EventHeaders: map[string]func(dialect.Event) string{"X-GitHub-Event": func(ev dialect.Event) string { return ev.Type }},
			Method:       http.MethodPut,
			Name:         "mine",
			Signer:       dialect.Unsigned(),
			UserAgent:    "me/1",
		})
		dialecttest.RequireRequest(t, dialect.Request{
			Method: "PUT",
			URL:    "https://example.com",
			Header: http.Header{"Content-Type": {"a/b"}, "User-Agent": {"me/1"}, "X-Github-Event": {"user.created"}, "X-Source": {"directory"}},
			Body:   []byte(`{"type":"user.created","timestamp":"2023-11-14T22:13:20Z","data":{"kind":"user","id":"42"}}`),
		}, build(t, d, to))
	})

	t.Run("SignsByEachOfSeveralSigners", func(t *testing.T) {
		t.Parallel()
		to := dialect.Destination{Secrets: []dialect.Secret{parse(t, secretText)}}
		for want, signers := range map[string][]dialect.Signer{
			"dialect mine: sign: Signers is empty":                                  {},
			"dialect mine: sign: two of Signers set the header X-Hub-Signature-256": {dialect.HubSigner(nil), dialect.HubSigner(nil)},
			"dialect mine: sign: BodyHMACConfig.Header is empty":                    {dialect.StandardSigner(), dialect.BodyHMAC(nil)},
		} {
			d := setup(t, &dialect.CustomConfig{Name: "mine", Signer: dialect.Signers(signers...)})
			_, err := d.Request(dialect.Message{ID: "msg_1"}, to, at)
			require.EqualError(t, err, want)
		}
		both := dialect.Signers(dialect.HubSigner(&dialect.HubOpts{SHA1: true}), dialect.StandardSigner())
		req := build(t, setup(t, &dialect.CustomConfig{Name: "mine", Signer: both}), to)
		for _, name := range []string{"X-Hub-Signature", "X-Hub-Signature-256", "Webhook-Signature"} {
			require.NotEmpty(t, req.Header.Get(name), name)
		}
	})

	t.Run("SendsWhatItsPartsSay", func(t *testing.T) {
		t.Parallel()
		cfg := &dialect.CustomConfig{
			ContentType: "application/vnd.x+json",
			Envelope:    dialect.EnvelopeThin,
			EventHeaders: map[string]func(dialect.Event) string{
				"x-event": func(ev dialect.Event) string { return ev.Type },
				"x-actor": func(ev dialect.Event) string { return ev.Actor },
			},
			Headers: map[string]string{"x-source": "directory"},
			Method:  http.MethodPatch,
			Name:    "mine",
			Signer: dialect.SignerFunc(func(in dialect.SignInput) (http.Header, error) {
				return http.Header{"x-signed": {in.ID + " " + in.Type + " " + in.At.UTC().Format(time.RFC3339), "twice"}}, nil
			}),
			UserAgent: "me/1",
		}
		d := setup(t, cfg)
		cfg.Headers["x-source"], cfg.EventHeaders["x-event"] = "changed", nil
		require.Equal(t, "mine", d.Name())
		dialecttest.RequireRequest(t, dialect.Request{
			Method: "PATCH",
			URL:    "https://example.com",
			Header: http.Header{
				"Content-Type": {"application/vnd.x+json"}, "User-Agent": {"me/1"}, "X-Event": {"user.created"}, "X-Source": {"directory"},
				"X-Signed": {"msg_1 user.created 2023-11-14T22:13:20Z", "twice"},
			},
			Body: []byte(`{"type":"user.created","timestamp":"2023-11-14T22:13:20Z","data":{"kind":"user","id":"42"}}`),
		}, build(t, d, dialect.Destination{URL: "https://example.com"}))
	})

	t.Run("SetsHeadersByTheirPrecedence", func(t *testing.T) {
		t.Parallel()
		d := setup(t, &dialect.CustomConfig{
			Envelope: func(dialect.Event, []byte) (dialect.Content, error) {
				return dialect.Content{Headers: map[string]string{"b": "content", "c": "content", "user-agent": "content", "host": "content"}}, nil
			},
			EventHeaders: map[string]func(dialect.Event) string{"C": func(dialect.Event) string { return "event" }},
			Headers:      map[string]string{"A": "fixed", "B": "fixed"},
			Name:         "mine",
			Signer: dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) {
				return http.Header{"D": {"signer"}}, nil
			}),
		})
		req := build(t, d, dialect.Destination{Headers: map[string]string{
			"a": "destination", "b": "destination", "c": "destination", "d": "destination", "E": "destination", "content-type": "text/plain",
			"Host": "evil", "connection": "close", "Transfer-Encoding": "chunked", "e": "lower case sorts last",
		}})
		require.Equal(t, http.Header{
			"A": {"fixed"}, "B": {"content"}, "C": {"content"}, "D": {"signer"}, "E": {"lower case sorts last"},
			"User-Agent": {dialect.DefaultUserAgent},
		}, req.Header)
	})

	t.Run("LeavesADestinationNoneOfTheNamesThatItCouldSet", func(t *testing.T) {
		t.Parallel()
		d := setup(t, &dialect.CustomConfig{
			EventHeaders: map[string]func(dialect.Event) string{"X-Actor": func(ev dialect.Event) string { return ev.Actor }},
			Headers:      map[string]string{"X-Source": "directory"},
			Name:         "mine",
			Signer: dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) {
				return http.Header{"X-Signature": {"signer"}}, nil
			}),
		})
		req := build(t, d, dialect.Destination{Headers: map[string]string{
			"X-Actor": "nobody has acted", "x_actor": "evil", "X_Source": "evil", "X-SIGNATURE": "evil", "x_signature": "evil",
			"Content_Type": "evil", "Content_Length": "0", "User_Agent": "evil", "Transfer_Encoding": "evil",
			"Idempotency-Key": "1", "X-Idempotency-Key": "1", "idempotency_key": "1", "X-Mine": "kept",
		}})
		require.Equal(t, http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {dialect.DefaultUserAgent},
			"X-Mine": {"kept"}, "X-Signature": {"signer"}, "X-Source": {"directory"},
		}, req.Header)
	})

	t.Run("PassesErrorsOnAndNamesItself", func(t *testing.T) {
		t.Parallel()
		cause := errors.New("broken")
		d := setup(t, &dialect.CustomConfig{
			Envelope: func(dialect.Event, []byte) (dialect.Content, error) { return dialect.Content{}, cause },
			Name:     "mine",
			Signer:   dialect.SignerFunc(func(dialect.SignInput) (http.Header, error) { return nil, cause }),
		})
		_, err := d.Envelope(ev, nil)
		require.ErrorIs(t, err, cause)
		require.EqualError(t, err, "dialect mine: envelope: broken")
		_, err = d.Request(dialect.Message{}, dialect.Destination{}, at)
		require.EqualError(t, err, "dialect mine: sign: broken")
	})

	t.Run("RefusesHeadersThatCannotBeSentWithoutShowingTheirValue", func(t *testing.T) {
		t.Parallel()
		d := setup(t, &dialect.CustomConfig{
			EventHeaders: map[string]func(dialect.Event) string{"X-Actor": func(ev dialect.Event) string { return ev.Actor }},
			Name:         "mine",
			Signer: dialect.SignerFunc(func(in dialect.SignInput) (http.Header, error) {
				return http.Header{"X-Signed": {in.ID}}, nil
			}),
		})
		smuggling := ev
		smuggling.Actor = "token\r\nX-Admin: 1"
		_, err := d.Envelope(smuggling, nil)
		require.EqualError(t, err, "dialect mine: envelope: header X-Actor: the value has a control character (byte 5)")

		for want, parts := range map[string]struct {
			msg dialect.Message
			to  dialect.Destination
		}{
			"dialect mine: request: header X-A: the value has a control character (byte 5)": {
				to: dialect.Destination{Headers: map[string]string{"X-A": "token\n"}},
			},
			"dialect mine: request: header X-B: the value has a control character (byte 5)": {
				msg: dialect.Message{Headers: map[string]string{"X-B": "token\x00"}},
			},
			"dialect mine: request: header Content-Type: the value has a control character (byte 5)": {
				msg: dialect.Message{ContentType: "token\r"},
			},
			"dialect mine: sign: header X-Signed: the value has a control character (byte 5)": {
				msg: dialect.Message{ID: "token\r"},
			},
		} {
			_, err := d.Request(parts.msg, parts.to, at)
			require.EqualError(t, err, want)
		}
	})
}
