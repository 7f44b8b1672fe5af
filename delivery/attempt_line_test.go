package delivery_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// phrased is an answer with a status line of its own.
func phrased(line string) deliverytest.Answer {
	return deliverytest.Answer{Raw: []byte("HTTP/1.1 " + line + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")}
}

func TestAttempt_HasMethodAndReasonPhrase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, phrase string }{
		"the usual one":       {"503 Service Unavailable", "Service Unavailable"},
		"one of its own":      {"503 quota of project 7 used up", "quota of project 7 used up"},
		"none":                {"503", ""},
		"none behind a gap":   {"503 ", ""},
		"one not to be shown": {"503 a\x1b[2J\x00b\xffc", "a [2J b\ufffdc"},
		"one without an end":  {"503 " + strings.Repeat("é", 5000), strings.Repeat("é", 200) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			receiver := b.receiver(nil)
			receiver.Script(phrased(c.line))
			sub := b.subscribe(receiver, func(spec *subscription.Spec) { spec.Schedule = "none" })
			engine := b.engine(nil)
			id := b.enqueue(nil)
			b.drain(engine)

			attempts, err := b.reader().Attempts(t.Context(), b.delivery(id, sub.ID).ID)
			require.NoError(t, err)
			require.Len(t, attempts, 1)
			require.Equal(t, http.MethodPost, attempts[0].Method)
			require.Equal(t, 503, attempts[0].Status)
			require.Equal(t, c.phrase, attempts[0].ReasonPhrase)
			text, err := json.Marshal(attempts[0])
			require.NoError(t, err)
			require.Contains(t, string(text), `"method":"POST"`)
			require.Equal(t, c.phrase != "", strings.Contains(string(text), `"reason_phrase":"`))

			receiver.Script(phrased("200 pinged"))
			ping, _, err := engine.Ping(t.Context(), sub.ID, nil)
			require.NoError(t, err)
			require.Equal(t, []string{http.MethodPost, "pinged"}, []string{ping.Method, ping.ReasonPhrase})
		})
	}
}

// HTTP/2 has no reason phrase; net/http makes one of the status.
func TestAttempt_HasNoReasonPhraseOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(&deliverytest.ReceiverConfig{TLS: true, HTTP2: true})
	receiver.Script(deliverytest.Answer{Status: 404})
	sub := b.subscribe(receiver, func(spec *subscription.Spec) { spec.Schedule = "none" })
	engine := b.engine(func(cfg *delivery.Config) { cfg.Transport.RootCAs = receiver.RootCAs() })
	id := b.enqueue(nil)
	b.drain(engine)

	attempts, err := b.reader().Attempts(t.Context(), b.delivery(id, sub.ID).ID)
	require.NoError(t, err)
	require.Equal(t, 404, attempts[0].Status)
	require.Empty(t, attempts[0].ReasonPhrase)
}
