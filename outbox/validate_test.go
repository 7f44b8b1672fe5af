package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

type refusal struct {
	name  string
	field string
	in    func(*Intent)
	goSQL bool // the SQL function can be given this, and must refuse it too
}

func refusals() []refusal {
	long := func(n int) string { return strings.Repeat("é", n) }
	deep := hierarchy.Path(strings.Repeat("/a", 33))
	wide := hierarchy.Path("/" + strings.Repeat("a", 65))
	big := hierarchy.Path(strings.Repeat("/"+strings.Repeat("a", 64), 8))
	return []refusal{
		{"an id with a space", "ID", func(in *Intent) { in.ID = "a b" }, true},
		{"an id with a newline at its end", "ID", func(in *Intent) { in.ID = "a\n" }, true},
		{"an id of 129", "ID", func(in *Intent) { in.ID = strings.Repeat("a", 129) }, true},
		{"an id beyond ASCII", "ID", func(in *Intent) { in.ID = "é" }, true},
		{"a type of Riverhook's own", "Type", func(in *Intent) { in.Type = "riverhook.subscription.failing" }, true},
		{"no type", "Type", func(in *Intent) { in.Type = "" }, true},
		{"a type of one segment", "Type", func(in *Intent) { in.Type = "user" }, true},
		{"a type of nine segments", "Type", func(in *Intent) { in.Type = "a.b.c.d.e.f.g.h.i" }, true},
		{"a type in capitals", "Type", func(in *Intent) { in.Type = "User.created" }, true},
		{"a type with an empty segment", "Type", func(in *Intent) { in.Type = "user..created" }, true},
		{"a type with a newline at its end", "Type", func(in *Intent) { in.Type = "user.created\n" }, true},
		{"a type of 129", "Type", func(in *Intent) { in.Type = "a." + strings.Repeat("b", 127) }, true},
		{"a site without a slash", "Site", func(in *Intent) { in.Site = "noaa" }, true},
		{"a site that ends with a slash", "Site", func(in *Intent) { in.Site = "/noaa/" }, true},
		{"a site with an empty segment", "Site", func(in *Intent) { in.Site = "/noaa//oun" }, true},
		{"a site with a dot segment", "Site", func(in *Intent) { in.Site = "/noaa/." }, true},
		{"a site with two dots", "Site", func(in *Intent) { in.Site = "/../noaa" }, true},
		{"a site with a space", "Site", func(in *Intent) { in.Site = "/no aa" }, true},
		{"a site of 33 segments", "Site", func(in *Intent) { in.Site = deep }, true},
		{"a site with a segment of 65", "Site", func(in *Intent) { in.Site = wide }, true},
		{"a site of 520", "Site", func(in *Intent) { in.Site = big }, true},
		{"an active site with an empty segment", "ActiveSite", func(in *Intent) { in.ActiveSite = "//" }, true},
		{"an active site of 33 segments", "ActiveSite", func(in *Intent) { in.ActiveSite = deep }, true},
		{"an active site with two dots", "ActiveSite", func(in *Intent) { in.ActiveSite = "/a/.." }, true},
		{"a share of 65", "Share", func(in *Intent) { in.Share = strings.Repeat("a", 65) }, true},
		{"a share with a space", "Share", func(in *Intent) { in.Share = "a b" }, true},
		{"a share with a newline at its end", "Share", func(in *Intent) { in.Share = "a\n" }, true},
		{"a share that is a path", "Share", func(in *Intent) { in.Share = "/a" }, true},
		{"a resource without an id", "Resource", func(in *Intent) { in.Resource.ID = "" }, true},
		{"a resource without a kind", "Resource", func(in *Intent) { in.Resource.Kind = "" }, true},
		{"a kind of 129", "Resource.Kind", func(in *Intent) { in.Resource.Kind = long(129) }, true},
		{"a kind that is not UTF-8", "Resource.Kind", func(in *Intent) { in.Resource.Kind = "\xff" }, false},
		{"a resource id of 513", "Resource.ID", func(in *Intent) { in.Resource.ID = long(513) }, true},
		{"a resource id with NUL", "Resource.ID", func(in *Intent) { in.Resource.ID = "a\x00" }, false},
		{"an actor of 513", "Actor", func(in *Intent) { in.Actor = long(513) }, true},
		{"an actor with NUL", "Actor", func(in *Intent) { in.Actor = "\x00" }, false},
		{"a channel of 513", "Channel", func(in *Intent) { in.Channel = long(513) }, true},
		{"a channel that is not UTF-8", "Channel", func(in *Intent) { in.Channel = "\xc3" }, false},
		{"attributes of 64 KiB and one", "Attributes", func(in *Intent) {
			in.Attributes = map[string]string{"a": strings.Repeat("b", 64<<10)}
		}, true},
		{"an attribute with NUL", "Attributes", func(in *Intent) { in.Attributes = map[string]string{"a": "\x00"} }, false},
		{"an attribute whose key is not UTF-8", "Attributes", func(in *Intent) { in.Attributes = map[string]string{"\xff": "a"} }, false},
		{"an event after the year 9999", "OccurredAt", func(in *Intent) { in.OccurredAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, false},
		{"an event before the year 1", "OccurredAt", func(in *Intent) { in.OccurredAt = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) }, false},
		{"not before the year 10000", "NotBefore", func(in *Intent) {
			in.NotBefore = time.Date(9999, 12, 31, 23, 59, 0, 0, time.FixedZone("", -3600))
		}, false},
		{"data that is too large", "Data", func(in *Intent) { in.Data = strings.Repeat("a", 256<<10-1) }, true},
		{"data that is not JSON", "Data", func(in *Intent) { in.Data = json.RawMessage(`{"a":}`) }, false},
		{"two JSON texts", "Data", func(in *Intent) { in.Data = []byte(`{} {}`) }, false},
		{"empty data", "Data", func(in *Intent) { in.Data = []byte{} }, false},
		{"no raw message", "Data", func(in *Intent) { in.Data = json.RawMessage{} }, false},
		{"data that is not UTF-8", "Data", func(in *Intent) { in.Data = json.RawMessage("\"\xff\"") }, false},
		{"data with NUL", "Data", func(in *Intent) { in.Data = json.RawMessage("\"\x00\"") }, false},
		{"data with a byte order mark", "Data", func(in *Intent) { in.Data = json.RawMessage("\ufeff{}") }, false},
		{"data that cannot be encoded", "Data", func(in *Intent) { in.Data = math.NaN() }, false},
		{"data whose encoder panics", "Data", func(in *Intent) { in.Data = panicking{} }, false},
	}
}

type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("no") }

func TestEnqueue_ABadIntentIsRefusedBeforeAnyStatement(t *testing.T) {
	t.Parallel()
	client, err := New(nil)
	require.NoError(t, err)
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			bad := valid()
			r.in(&bad)
			_, err := client.EnqueueMany(t.Context(), noStatements{}, []Intent{valid(), bad})
			var invalid *InvalidIntentError
			require.ErrorAs(t, err, &invalid)
			require.ErrorIs(t, err, ErrInvalidIntent)
			require.Equal(t, 1, invalid.Index)
			require.Equal(t, r.field, invalid.Field)
			require.NotEmpty(t, invalid.Reason)
			require.ErrorContains(t, err, "outbox: intent 1: "+r.field+": ")
		})
	}
}

// noStatements is a transaction that panics on use.
type noStatements struct{ pgx.Tx }

func TestEnqueue_TheErrorOfAnEncoderCanBeUnwrapped(t *testing.T) {
	t.Parallel()
	client, err := New(nil)
	require.NoError(t, err)
	_, err = client.Enqueue(t.Context(), noStatements{}, Intent{Type: "a.b", Data: failing{}})
	require.ErrorIs(t, err, ErrInvalidIntent)
	require.ErrorIs(t, err, errEncode)
}

var errEncode = errors.New("cannot")

type failing struct{}

func (failing) MarshalJSON() ([]byte, error) { return nil, errEncode }

func TestSQLFunction_RefusesByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range refusals() {
		if !r.goSQL {
			continue
		}
		bad := valid()
		r.in(&bad)
		rows := enqueueUnchecked(t, b.tx, valid(), bad)
		require.Len(t, rows, 1, r.name)
		require.Equal(t, "invalid", rows[0].Outcome, r.name)
		require.Equal(t, 2, rows[0].Ord, r.name)
		require.Equal(t, r.field, rows[0].Field, r.name)
		require.NotEmpty(t, rows[0].Reason)

		alone := enqueueUnchecked(t, b.tx, bad)
		require.Equal(t, []store.EnqueueBatchRow{{
			Ord:     1,
			Outcome: "invalid",
			Field:   r.field,
			Reason:  rows[0].Reason,
		}}, alone, r.name)
	}
	require.Equal(t, [3]int{}, count(t, b.tx))
}

func TestEnqueue_TheLargestIntentsAreAccepted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := hierarchy.Path(strings.Repeat("/"+strings.Repeat("a", 64), 7) + "/" + strings.Repeat("b", 56))
	require.Len(t, path, 512)
	large := Intent{
		ActiveSite: hierarchy.Path(strings.Repeat("/a", 32)),
		Actor:      strings.Repeat("é", 512),
		Attributes: map[string]string{"a": strings.Repeat("\"", 64<<10-1)},
		Channel:    strings.Repeat("é", 512),
		Data:       strings.Repeat("a", 256<<10-2),
		ID:         strings.Repeat("-", 128),
		NotBefore:  time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC),
		OccurredAt: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		Resource:   access.Resource{Kind: strings.Repeat("é", 128), ID: strings.Repeat("é", 512)},
		Share:      strings.Repeat("~", 64),
		Site:       path,
		Type:       "a.b.c.d.e.f.g." + strings.Repeat("h", 114),
	}
	_, err := b.client.Enqueue(t.Context(), b.tx, large)
	require.NoError(t, err)
	require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
	var occurred time.Time
	require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT occurred_at FROM riverhook.intent").Scan(&occurred))
	require.True(t, occurred.Equal(large.OccurredAt.Truncate(time.Microsecond)))
}

func TestMaxDataBytes_IsAsConfigured(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client, err := New(&Config{MaxDataBytes: 4})
	require.NoError(t, err)
	_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: json.RawMessage("12345")})
	require.ErrorIs(t, err, ErrInvalidIntent)
	_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: json.RawMessage("1234")})
	require.NoError(t, err)
	large, err := New(&Config{MaxDataBytes: 1 << 20})
	require.NoError(t, err)
	_, err = large.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: strings.Repeat("a", 1<<20-2)})
	require.NoError(t, err)
}

func TestEnqueue_GoAndSQLJudgeAlike(t *testing.T) {
	t.Parallel()
	b := setup(t)
	text := rapid.OneOf(
		rapid.StringMatching(`[a-z0-9_.]{0,20}`),
		rapid.StringMatching(`(/?[A-Za-z0-9._~@:+-]{0,3}){0,4}`),
		rapid.Custom(func(rt *rapid.T) string {
			return "/" + strings.Join(rapid.SliceOfN(rapid.StringMatching(`[a-z.]{1,66}`), 1, 34).Draw(rt, "segments"), "/")
		}),
		rapid.Custom(func(rt *rapid.T) string {
			return strings.Repeat(rapid.StringMatching(`[a/é]`).Draw(rt, "one"), rapid.IntRange(120, 520).Draw(rt, "times"))
		}),
		rapid.StringMatching(`[a-z0-9_]{1,30}(\.[a-z0-9_]{0,30}){0,9}`),
		rapid.StringMatching(`[A-Za-z0-9_-]{120,130}`),
		rapid.StringMatching(`[ -~\n\té]{0,8}`),
		rapid.String(),
	).Filter(func(s string) bool { return notText(s) == "" })
	rapid.Check(t, func(rt *rapid.T) {
		s := text.Draw(rt, "text")
		for field, set := range map[string]func(*Intent){
			"ID":            func(in *Intent) { in.ID = s },
			"Type":          func(in *Intent) { in.Type = s },
			"Site":          func(in *Intent) { in.Site = hierarchy.Path(s) },
			"ActiveSite":    func(in *Intent) { in.ActiveSite = hierarchy.Path(s) },
			"Resource.Kind": func(in *Intent) { in.Resource.Kind = s },
			"Resource.ID":   func(in *Intent) { in.Resource.ID = s },
			"Actor":         func(in *Intent) { in.Actor = s },
			"Channel":       func(in *Intent) { in.Channel = s },
			"Share":         func(in *Intent) { in.Share = s },
		} {
			in := Intent{Type: "a.b"}
			set(&in)
			want := ""
			if _, bad := newRecord(&in, 10); bad != nil {
				want = bad.Field
			}
			savepoint, err := b.tx.Begin(t.Context())
			require.NoError(rt, err)
			got := ""
			if row := enqueueUnchecked(t, savepoint, in)[0]; row.Outcome == "invalid" {
				got = row.Field
			}
			require.NoError(rt, savepoint.Rollback(t.Context()))
			require.Equal(rt, want, got, "%s of %q", field, s)
		}
	})
}

// enqueueUnchecked calls the SQL functions as the client does, without the
// client's checks.
func enqueueUnchecked(t *testing.T, tx pgx.Tx, in ...Intent) []store.EnqueueBatchRow {
	t.Helper()
	client, err := New(nil)
	require.NoError(t, err)
	records := make([]*record, len(in))
	for i, one := range in {
		data, err := json.Marshal(one.Data)
		require.NoError(t, err)
		records[i] = &record{
			ActiveSite:   one.ActiveSite,
			Actor:        one.Actor,
			Attributes:   one.Attributes,
			Channel:      one.Channel,
			Data:         string(data),
			ID:           one.ID,
			ResourceID:   one.Resource.ID,
			ResourceKind: one.Resource.Kind,
			Share:        one.Share,
			Site:         one.Site,
			Type:         one.Type,
		}
	}
	rows, err := client.enqueue(t.Context(), tx, records, false)
	require.NoError(t, err)
	return rows
}

func FuzzEnqueue_RefusalsNeverPanic(f *testing.F) {
	for i, r := range refusals() {
		in := valid()
		r.in(&in)
		f.Add(in.ID, in.Type, string(in.Site), in.Actor, fmt.Appendf(nil, "%d", i))
	}
	f.Fuzz(func(t *testing.T, id, typ, site, text string, data []byte) {
		in := Intent{
			ID:         id,
			Type:       typ,
			Site:       hierarchy.Path(site),
			Actor:      text,
			Attributes: map[string]string{text: id},
			Data:       data,
		}
		rec, bad := newRecord(&in, 100)
		require.NotEqual(t, rec == nil, bad == nil)
		if rec != nil {
			require.Equal(t, string(data), rec.Data)
			_, err := json.Marshal(rec)
			require.NoError(t, err)
		}
	})
}
