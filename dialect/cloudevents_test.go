package dialect_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/dialect"
)

func TestCloudEventsEnvelope_HasAttributesOfItsOwnAndAnyData(t *testing.T) {
	t.Parallel()
	ev := dialect.Event{
		ID:           "msg_1",
		Type:         "user.created",
		Site:         "/noaa",
		ResourceKind: "user",
		ResourceID:   "42",
		OccurredAt:   time.Unix(1700000000, 0),
	}
	only := func(value string) func(dialect.Event) string { return func(dialect.Event) string { return value } }

	t.Run("TakesAttributesOfItsOwn", func(t *testing.T) {
		t.Parallel()
		envelope := dialect.CloudEventsEnvelope{
			Extensions: map[string]func(dialect.Event) string{"traceparent": only("00-1"), "actor": only(""), "channel": only("people")},
			Source:     only("https://example.com/directory"),
			Subject:    only(""),
		}
		content, err := envelope.Structured(ev, []byte(`1`))
		require.NoError(t, err)
		require.Equal(t, `{"specversion":"1.0","id":"msg_1","source":"https://example.com/directory","type":"user.created",`+
			`"time":"2023-11-14T22:13:20Z","channel":"people","traceparent":"00-1","datacontenttype":"application/json","data":1}`,
			string(content.Body))
		content, err = envelope.Binary(ev, []byte(`1`))
		require.NoError(t, err)
		require.Equal(t, "application/json", content.Type)
		require.Equal(t, map[string]string{
			"ce-channel": "people", "ce-id": "msg_1", "ce-source": "https://example.com/directory", "ce-specversion": "1.0",
			"ce-time": "2023-11-14T22:13:20Z", "ce-traceparent": "00-1", "ce-type": "user.created",
		}, content.Headers)
	})

	t.Run("CarriesDataThatIsNotJSON", func(t *testing.T) {
		t.Parallel()
		envelope, data := dialect.CloudEventsEnvelope{DataContentType: "application/avro"}, []byte{0, 0xff, '"'}
		content, err := envelope.Structured(ev, data)
		require.NoError(t, err)
		require.Contains(t, string(content.Body),
			`,"datacontenttype":"application/avro","data_base64":"`+base64.StdEncoding.EncodeToString(data)+`"}`)
		require.True(t, json.Valid(content.Body))
		content, err = envelope.Binary(ev, data)
		require.NoError(t, err)
		require.Equal(t, "application/avro", content.Type)
		require.Equal(t, data, content.Body)
	})

	t.Run("EmbedsJSONOfAnyName", func(t *testing.T) {
		t.Parallel()
		for _, media := range []string{"application/vnd.x+json", "text/json; charset=utf-8"} {
			content, err := dialect.CloudEventsEnvelope{DataContentType: media}.Structured(ev, []byte(`{"a": 1}`))
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(string(content.Body), `,"data":{"a": 1}}`), media)
		}
	})

	t.Run("HasTheRootAsTheSourceOfAnEventWithoutASite", func(t *testing.T) {
		t.Parallel()
		content, err := dialect.CloudEventsEnvelope{}.Binary(dialect.Event{ID: "msg_1", Type: "a.b"}, nil)
		require.NoError(t, err)
		require.Equal(t, "/", content.Headers["ce-source"])
		require.NotContains(t, content.Headers, "ce-subject")
	})

	t.Run("RefusesWhatCloudEventsDoesNotAllow", func(t *testing.T) {
		t.Parallel()
		without := func(change func(*dialect.Event)) dialect.Event {
			out := ev
			change(&out)
			return out
		}
		extension := func(name string) dialect.CloudEventsEnvelope {
			return dialect.CloudEventsEnvelope{Extensions: map[string]func(dialect.Event) string{name: only("1")}}
		}
		for _, tc := range []struct {
			envelope dialect.CloudEventsEnvelope
			ev       dialect.Event
			data     string
			want     string
		}{
			{ev: without(func(ev *dialect.Event) { ev.ID = "" }), want: "CloudEvents: id is empty"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "" }), want: "CloudEvents: type is empty"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "\x1f" }), want: "CloudEvents: type has a character that is not allowed"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "\u009f" }), want: "CloudEvents: type has a character that is not allowed"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "\ufdd0" }), want: "CloudEvents: type has a character that is not allowed"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "\uffff" }), want: "CloudEvents: type has a character that is not allowed"},
			{ev: without(func(ev *dialect.Event) { ev.Type = "\xff" }), want: "CloudEvents: type has a character that is not allowed"},
			{
				ev:   without(func(ev *dialect.Event) { ev.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }),
				want: "time of the event: the year 10000 has no form in RFC 3339",
			},
			{
				envelope: dialect.CloudEventsEnvelope{Source: only("")},
				ev:       ev,
				want:     "CloudEvents: source is empty",
			},
			{
				envelope: dialect.CloudEventsEnvelope{Source: only("http://[")},
				ev:       ev,
				want:     "CloudEvents: source is not a URI reference",
			},
			{
				envelope: extension("id"),
				ev:       ev,
				want:     `CloudEvents: no extension can be named "id"`,
			},
			{
				envelope: extension("data"),
				ev:       ev,
				want:     `CloudEvents: no extension can be named "data"`,
			},
			{
				envelope: extension("datacontenttype"),
				ev:       ev,
				want:     `CloudEvents: no extension can be named "datacontenttype"`,
			},
			{
				envelope: extension("traceParent"),
				ev:       ev,
				want:     `CloudEvents: no extension can be named "traceParent"`,
			},
			{
				envelope: extension(""),
				ev:       ev,
				want:     `CloudEvents: no extension can be named ""`,
			},
			{
				ev:   ev,
				data: "{",
				want: "the data is not JSON",
			},
			{
				ev:   ev,
				data: "\"\xff\"",
				want: "the data is not UTF-8",
			},
		} {
			for _, envelope := range []dialect.Envelope{tc.envelope.Structured, tc.envelope.Binary} {
				_, err := envelope(tc.ev, []byte(tc.data))
				require.EqualError(t, err, tc.want)
			}
		}
	})
}

// What a value says comes back by the rules of the HTTP binding, section 3.1.3.2.
func TestCloudEventsBinary_EncodesWhatHTTPCannotCarry(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[ -~é€😀]{1,20}`).Draw(t, "subject")
		envelope := dialect.CloudEventsEnvelope{Subject: func(dialect.Event) string { return value }}
		content, err := envelope.Binary(dialect.Event{ID: "msg_1", Type: "a.b"}, nil)
		require.NoError(t, err)
		sent := content.Headers["ce-subject"]
		require.NotContains(t, sent, `"`)
		for _, c := range []byte(sent) {
			require.True(t, '!' <= c && c <= '~', "%q", sent)
		}
		got, err := url.PathUnescape(sent)
		require.NoError(t, err)
		require.Equal(t, value, got)
		plain := strings.Map(func(r rune) rune {
			if r <= ' ' || r == '"' || r == '%' || r > '~' {
				return -1
			}
			return r
		}, value)
		require.True(t, value != plain || sent == value, "what can be carried is left alone: %q", sent)
	})
}

func TestCloudEventsVerifier_InBinaryModeNeedsWhatCloudEventsRequires(t *testing.T) {
	t.Parallel()
	at, secrets := time.Unix(1700000000, 0), []dialect.Secret{parse(t, secretText)}
	d := dialect.CloudEventsBinary()
	msg, err := d.Envelope(dialect.Event{
		ID:         "msg_1",
		Type:       "a.b",
		Site:       "/a b",
		OccurredAt: at,
	}, []byte(`{}`))
	require.NoError(t, err)
	req, err := d.Request(msg, dialect.Destination{Secrets: secrets}, dialect.Attempt{Number: 1, At: at})
	require.NoError(t, err)
	for _, tc := range []struct {
		name, value string
		want        error
	}{
		{name: "Ce-Id", want: dialect.ErrMissingHeader},
		{
			name:  "Ce-Id",
			value: "msg_2",
			want:  dialect.ErrBadSignature,
		},
		{name: "Ce-Id", value: "%6dsg_1"},
		{name: "Ce-Source", want: dialect.ErrMissingHeader},
		{
			name:  "Ce-Source",
			value: "%zz",
			want:  dialect.ErrMalformed,
		},
		{
			name:  "Ce-Specversion",
			value: "0.3",
			want:  dialect.ErrMalformed,
		},
		{name: "Ce-Type", want: dialect.ErrMissingHeader},
		{
			name:  "Webhook-Id",
			value: "msg_2",
			want:  dialect.ErrBadSignature,
		},
		{name: "X-Other", value: "1"},
	} {
		h := req.Header.Clone()
		h.Set(tc.name, tc.value)
		require.ErrorIs(t, dialect.CloudEventsVerifier(nil).Verify(h, req.Body, secrets, at), tc.want, "%s: %q", tc.name, tc.value)
	}
	two := http.Header{"ce-ID": {"msg_1"}}
	maps.Copy(two, req.Header)
	require.ErrorIs(t, dialect.CloudEventsVerifier(nil).Verify(two, req.Body, secrets, at), dialect.ErrMalformed)
}
