package dialect_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/dialect"
)

type standardBody struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// jsonText draws JSON as people and programs write it: with white space, every
// kind of escape, characters that HTML escapes, and duplicate keys.
func jsonText() *rapid.Generator[string] {
	space := rapid.StringMatching(`[ \t\n\r]{0,3}`)
	scalar := rapid.OneOf(
		rapid.SampledFrom([]string{
			"null", "true", "false", "0", "-0", "1.0", "1e400", "-1.50E+07", "12345678901234567890", `""`, `"\u003c"`, `"\ud83d\ude00"`,
			`"\/"`, `"\ud800"`, `"\u2028"`, "\"\u2028\"", `{}`, `[]`,
		}),
		rapid.Map(rapid.StringMatching(`[a-zA-Z<>&'é€😀 ]{0,12}`), func(s string) string { return `"` + s + `"` }),
	)
	var value func(depth int) *rapid.Generator[string]
	value = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			before, after := space.Draw(t, "before"), space.Draw(t, "after")
			kind := rapid.IntRange(0, 2).Draw(t, "kind")
			if depth == 0 {
				kind = 0
			}
			var text string
			switch kind {
			case 0:
				text = scalar.Draw(t, "scalar")
			case 1:
				text = "[" + joined(rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "items")) + "]"
			default:
				members := make([]string, rapid.IntRange(0, 3).Draw(t, "members"))
				for i := range members {
					members[i] = space.Draw(t, "space") + rapid.SampledFrom([]string{`"a"`, `"b"`, `"<&>"`}).Draw(t, "key") +
						":" + value(depth-1).Draw(t, "value")
				}
				text = "{" + joined(members) + "}"
			}
			return before + text + after
		})
	}
	return value(3)
}

func joined(parts []string) string {
	var b bytes.Buffer
	for i, p := range parts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(p)
	}
	return b.String()
}

func TestEnvelopeStandard_KeepsDataByteForByte(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := jsonText().Draw(t, "data")
		ev := dialect.Event{
			Type:       rapid.StringMatching(`[a-z0-9_]{1,9}\.[a-z0-9_]{1,9}`).Draw(t, "type"),
			OccurredAt: time.UnixMicro(rapid.Int64Range(0, 4e15).Draw(t, "at")),
		}
		given := []byte(data)
		content, err := dialect.EnvelopeStandard(ev, given)
		require.NoError(t, err)
		require.Equal(t, data, string(given))
		require.Equal(t, "application/json", content.Type)
		require.True(t, bytes.HasSuffix(content.Body, []byte(`"data":`+data+"}")))

		var got standardBody
		require.NoError(t, json.Unmarshal(content.Body, &got))
		require.Equal(t, ev.Type, got.Type)
		require.True(t, ev.OccurredAt.Equal(got.Timestamp))
		// White space around a value is not part of it for a decoder.
		require.Equal(t, string(bytes.Trim(given, " \t\r\n")), string(got.Data))
	})
}

func TestEnvelopeBare_IsTheData(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := jsonText().Draw(t, "data")
		content, err := dialect.EnvelopeBare(dialect.Event{}, []byte(data))
		require.NoError(t, err)
		require.Equal(t, data, string(content.Body))
	})
}

// Before and behind the data is what each envelope writes around it.
func TestEnvelope_EachThatHasDataKeepsItByteForByte(t *testing.T) {
	t.Parallel()
	binary, structured := dialect.CloudEventsEnvelope{}.Binary, dialect.CloudEventsEnvelope{}.Structured
	for name, tc := range map[string]struct {
		envelope      dialect.Envelope
		before, after string
	}{
		"bare":                   {dialect.EnvelopeBare, "", ""},
		"CloudEvents binary":     {binary, "", ""},
		"CloudEvents structured": {structured, `"application/json","data":`, "}"},
		"servo":                  {dialect.EnvelopeServo, `, "results": `, "}"},
		"standard":               {dialect.EnvelopeStandard, `,"data":`, "}"},
		"stripe":                 {dialect.EnvelopeStripe, `,"data":{"object":`, "}}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				data := jsonText().Draw(t, "data")
				given := []byte(data)
				content, err := tc.envelope(dialect.Event{
					ID:         "msg_1",
					Type:       "a.b",
					OccurredAt: time.Unix(1700000000, 0),
				}, given)
				require.NoError(t, err)
				require.Equal(t, data, string(given), "its input")
				require.True(t, json.Valid(content.Body))
				before, found := bytes.CutSuffix(content.Body, []byte(tc.before+data+tc.after))
				require.True(t, found, "%s", content.Body)
				require.True(t, tc.before != "" || len(before) == 0, "%s", content.Body)
			})
		})
	}
}

func TestEnvelope_EachWritesWhatItsFormatSays(t *testing.T) {
	t.Parallel()
	ev := dialect.Event{
		Type:         "user.created",
		ResourceKind: "user",
		ResourceID:   `4"2<&>é`,
		OccurredAt:   time.Date(2026, 5, 1, 14, 0, 0, 0, time.FixedZone("", 7200)),
	}

	t.Run("StandardWritesTheTimeOfTheEventInUTC", func(t *testing.T) {
		t.Parallel()
		content, err := dialect.EnvelopeStandard(ev, []byte(`1`))
		require.NoError(t, err)
		want := `{"type":"user.created","timestamp":"2026-05-01T12:00:00Z","data":1}`
		require.Equal(t, []byte(want), content.Body)
	})

	t.Run("StandardEscapesATypeAsJSONAndNotAsHTML", func(t *testing.T) {
		t.Parallel()
		odd := ev
		odd.Type = "a\"<&>\n"
		content, err := dialect.EnvelopeStandard(odd, []byte(`1`))
		require.NoError(t, err)
		require.Contains(t, string(content.Body), `{"type":"a\"<&>\n",`)
	})

	t.Run("ThinNamesTheResourceAlone", func(t *testing.T) {
		t.Parallel()
		content, err := dialect.EnvelopeThin(ev, []byte(`"not sent"`))
		require.NoError(t, err)
		want := `{"type":"user.created","timestamp":"2026-05-01T12:00:00Z","data":{"kind":"user","id":"4\"2<&>é"}}`
		require.Equal(t, []byte(want), content.Body)
	})

	t.Run("NoDataIsNull", func(t *testing.T) {
		t.Parallel()
		content, err := dialect.EnvelopeBare(ev, nil)
		require.NoError(t, err)
		require.Equal(t, "null", string(content.Body))
		content, err = dialect.EnvelopeStandard(ev, []byte{})
		require.NoError(t, err)
		require.Contains(t, string(content.Body), `"data":null}`)
	})

	t.Run("RefuseWhatIsNotJSON", func(t *testing.T) {
		t.Parallel()
		for _, envelope := range []dialect.Envelope{
			dialect.EnvelopeBare, dialect.EnvelopeServo, dialect.EnvelopeStandard, dialect.EnvelopeStripe,
		} {
			for _, data := range []string{" ", "{", "{}{}", `{"a":1},"type":"b"`, "nan", "\xef\xbb\xbf1"} {
				_, err := envelope(ev, []byte(data))
				require.EqualError(t, err, "the data is not JSON", "%q", data)
			}
			_, err := envelope(ev, []byte("\"\xff\""))
			require.EqualError(t, err, "the data is not UTF-8")
		}
	})

	t.Run("ServoWritesAColonBehindBeforeAndAfter", func(t *testing.T) {
		t.Parallel()
		for eventType, want := range map[string]string{
			"before.measure": "before:measure", "after.measure.cpu": "after:measure.cpu", "measure.after": "measure.after", "after": "after",
		} {
			odd := ev
			odd.Type = eventType
			content, err := dialect.EnvelopeServo(odd, nil)
			require.NoError(t, err)
			require.Equal(t, `{"event": "`+want+`", "created_at": "2026-05-01T12:00:00", "results": null}`, string(content.Body))
		}
	})

	t.Run("RefuseWhatCannotBeWritten", func(t *testing.T) {
		t.Parallel()
		for name, bad := range map[string]dialect.Event{
			"time of the event": {OccurredAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
			"event type":        {Type: "\xff"},
			"resource kind":     {ResourceKind: "\xff"},
			"resource id":       {ResourceID: "\xff"},
		} {
			_, err := dialect.EnvelopeThin(bad, nil)
			require.ErrorContains(t, err, name)
		}
		_, err := dialect.EnvelopeServo(dialect.Event{OccurredAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
		require.ErrorContains(t, err, "time of the event")
		_, err = dialect.EnvelopeServo(dialect.Event{Type: "\xff"}, nil)
		require.ErrorContains(t, err, "event type")
		_, err = dialect.EnvelopeStripe(dialect.Event{Type: "\xff"}, nil)
		require.ErrorContains(t, err, "event type")
		_, err = dialect.EnvelopeStripe(dialect.Event{ID: "\xff"}, nil)
		require.ErrorContains(t, err, "event id")
	})
}
