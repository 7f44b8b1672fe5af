package receiver_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

const mark = "\xef\xbb\xbf"

// RFC 8259: a charset of JSON has no effect (section 11), a byte order mark may be
// ignored (section 8.1).
func TestPayload_WhatSendersPutAroundJSON(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	for i, tt := range []struct{ contentType, body string }{
		{"application/json; charset=utf8", `{"a":"é"}`},
		{"application/json; charset=us-ascii", `{"a":"e"}`},
		{"application/json;charset=ISO-8859-1", `{"a":"e"}`},
		{"application/json; charset=iso-8859-1", `{"a":"é"}`}, // it says so and is UTF-8
		{`application/json; charset="UTF-8"`, `{"a":"é"}`},
		{"application/json; charset=utf-8; charset=utf-8", `{"a":"e"}`},
		{"application/json; charset=", `{"a":"e"}`},
		{"application/json;", `{"a":"e"}`},
		{"application/vnd.acme+json; charset=utf8; version=2", `{"a":"e"}`},
		{"application/json", mark + `{"a":"é"}`},
		{"application/json; charset=utf8", mark + `{"a":"é"}`},
	} {
		header := signed(t, "d"+strconv.Itoa(i), tt.body)
		header["Content-Type"] = []string{tt.contentType}

		r := b.send(http.MethodPost, "/hooks/sync", tt.body, header)

		require.Equal(t, http.StatusCreated, r.StatusCode, "%s: %s", tt.contentType, r.text)
		ev := b.runs[i]
		require.Equal(t, tt.body, string(ev.Body), "what was signed, byte for byte")
		var data struct{ A string }
		require.NoError(t, ev.JSON(&data))
		require.Contains(t, tt.body, data.A)
		require.NotEmpty(t, data.A)
	}
}

func TestPayload_AFormOfUTF8(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)
	for i, contentType := range []string{"", "; charset=utf8", "; charset=US-ASCII", "; charset="} {
		const body = "a=%C3%A9"
		header := signed(t, contentType, body)
		header["Content-Type"] = []string{"application/x-www-form-urlencoded" + contentType}

		require.Equal(t, http.StatusCreated, b.send(http.MethodPost, "/hooks/sync", body, header).StatusCode, contentType)

		form, err := b.runs[i].Form()
		require.NoError(t, err)
		require.Equal(t, "é", form.Get("a"))
	}
}

func TestPayload_ARawReceiverParsesNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, func(rec *receiver.Receiver) { rec.Raw = true })
	for i, tt := range []struct{ contentType, body string }{
		{"application/json", `{"half":`},
		{"application/json", ""},
		{"application/json", mark + `{}`},
		{"application/json; charset=latin1", "\"\xe9\""},
		{"application/vnd.acme+json", "{} {} {}"}, // a sequence of texts
		{"application/x-www-form-urlencoded", "a=%zz"},
		{"text/plain; charset=UTF-8", `{"Type":"Notification"}`},
		{"", "\x00"},
	} {
		header := signed(t, "d"+strconv.Itoa(i), tt.body)
		header["Content-Type"] = []string{tt.contentType}

		r := b.send(http.MethodPost, "/hooks/sync", tt.body, header)

		require.Equal(t, http.StatusCreated, r.StatusCode, "%s: %s", tt.contentType, r.text)
		require.Equal(t, tt.body, string(b.runs[i].Body))
	}
}

func TestPayload_AMarkHidesNoChallengeAndNoID(t *testing.T) {
	t.Parallel()
	b := newBundle(t, nil)

	r := b.post("sync", "d1", mark+`{"type":"riverhook.challenge","challenge":"x"}`)

	require.Equal(t, http.StatusOK, r.StatusCode)
	require.JSONEq(t, `{"challenge":"x"}`, r.text)
	require.Equal(t, "evt_1", identifier(t, dialect.StripeVerifier(nil)).DeliveryID(nil, []byte(mark+`{"id":"evt_1"}`)))
	require.Equal(t, "/s 1", receiver.DeliveryID(
		http.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(mark+`{"id":"1","source":"/s"}`)))
}

func TestPayload_ALargePushOfGitHubNeedsItsMaxBody(t *testing.T) {
	t.Parallel()
	body := `{"commits":"` + strings.Repeat("x", 2<<20) + `"}`
	small := newBundle(t, nil)
	large := newBundle(t, func(rec *receiver.Receiver) { rec.MaxBody = 25 << 20 })

	refused := newRequest(t, http.MethodPost, "/hooks/sync", []byte(body))
	refused.Header = signed(t, "d1", body)
	require.Equal(t, http.StatusRequestEntityTooLarge, record(small.handler, refused))
	require.Equal(t, http.StatusCreated, large.post("sync", "d1", body).StatusCode)

	require.Len(t, large.runs[0].Body, len(body))
}
