package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/hostile"
	"github.com/riverhook/riverhook/internal/payload"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// hostileIntent has a text in each field that takes any.
func hostileIntent(text string) Intent {
	return Intent{
		Type:       "user.created",
		Resource:   access.Resource{Kind: firstChars(text, maxKindChars), ID: text},
		Actor:      text,
		Channel:    text,
		Attributes: map[string]string{text: text, "plain": text},
		Data:       map[string]string{text: text},
	}
}

func firstChars(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n])
	}
	return s
}

func TestEnqueue_HostileTextComesBackAsItWasWritten(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	client, err := New(nil)
	require.NoError(t, err)
	requireWritten := func(t *testing.T, name, id, text string) {
		t.Helper()
		want := hostileIntent(text)
		var kind, resource, actor, channel string
		var attributes, data map[string]string
		var raw []byte
		require.NoError(t, pool.QueryRow(t.Context(), `
			SELECT resource_kind, resource_id, actor, channel, attributes, data FROM riverhook.intent WHERE wire_id = $1`, id,
		).Scan(&kind, &resource, &actor, &channel, &attributes, &raw), name)
		require.NoError(t, json.Unmarshal(raw, &data))
		require.Equal(t, want, Intent{
			Type:       "user.created",
			Resource:   access.Resource{Kind: kind, ID: resource},
			Actor:      actor,
			Channel:    channel,
			Attributes: attributes,
			Data:       data,
		}, name)
	}

	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg := pool.Config()
		cfg.ConnConfig.DefaultQueryExecMode = mode
		cfg.MaxConns = 1
		other, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(other.Close)
		for name, text := range hostile.Texts() {
			var ids []string
			require.NoError(t, pgx.BeginFunc(t.Context(), other, func(tx pgx.Tx) error {
				one, err := client.Enqueue(t.Context(), tx, hostileIntent(text))
				require.NoError(t, err, "%s in mode %s", name, mode)
				many, err := client.EnqueueMany(t.Context(), tx, []Intent{hostileIntent(text), valid()})
				require.NoError(t, err, "%s in mode %s", name, mode)
				ids = []string{one.ID, many[0].ID}
				return nil
			}))
			for _, id := range ids {
				requireWritten(t, name, id, text)
			}
		}
	}

	db, err := sql.Open("pgx", pool.Config().ConnString())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	for name, text := range hostile.Texts() {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		res, err := client.EnqueueSQL(t.Context(), tx, hostileIntent(text))
		require.NoError(t, err, name)
		require.NoError(t, tx.Commit())
		requireWritten(t, name, res.ID, text)
	}
}

func TestEnqueue_AfterTextThatPostgresCannotHoldTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, text := range hostile.Impossible() {
		for field, change := range map[string]func(in *Intent){
			"ID":            func(in *Intent) { in.ID = text },
			"Actor":         func(in *Intent) { in.Actor = text },
			"Attributes":    func(in *Intent) { in.Attributes = map[string]string{text: "v"} },
			"Channel":       func(in *Intent) { in.Channel = text },
			"Data":          func(in *Intent) { in.Data = json.RawMessage(`"` + text + `"`) },
			"Resource.ID":   func(in *Intent) { in.Resource.ID = text },
			"Resource.Kind": func(in *Intent) { in.Resource.Kind = text },
		} {
			in := valid()
			change(&in)
			_, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), in})
			require.ErrorContains(t, err, "intent 1: "+field+": ", name)
		}
	}
	types, err := NewEventTypes(b.pool, nil)
	require.NoError(t, err)
	for name, text := range hostile.Impossible() {
		_, err := types.In(b.tx).Get(t.Context(), text)
		require.ErrorIs(t, err, ErrNotFound, name)
		_, err = types.In(b.tx).List(t.Context(), &ListEventTypesOpts{Cursor: cursor.EventTypes.OfText(text)})
		require.ErrorContains(t, err, "Cursor", name)
		err = types.In(b.tx).Register(t.Context(), EventType{Name: "a.b", Description: text})
		require.ErrorIs(t, err, ErrInvalidEventType, name)
		require.ErrorContains(t, err, "Description", name)
	}

	_, err = b.client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx), "what was refused has left nothing")
}

func TestEnqueue_DataThatIsNestedTooDeepIsRefusedByGoAndBySQL(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lists := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	objects := func(n int) string { return strings.Repeat(`{"]":`, n) + "1" + strings.Repeat("}", n) }
	both := func(n int) string {
		return strings.Repeat(" {\"a\\\"[\": [\n", n/2) + strings.Repeat("[", n%2) + strings.Repeat("]", n%2) + strings.Repeat("] }", n/2)
	}
	for name, data := range map[string]string{
		"lists":                  lists(payload.MaxLevels),
		"objects":                objects(payload.MaxLevels),
		"both":                   both(payload.MaxLevels),
		"beside one another":     "[" + strings.Repeat(lists(payload.MaxLevels-1)+",", 9) + lists(payload.MaxLevels-1) + "]",
		"many and flat":          "[" + strings.Repeat(`{"a":[]},`, 9999) + "{}]",
		"in a text":              `"` + strings.Repeat("[", 10_000) + `"`,
		"in a text, with quotes": `["` + strings.Repeat(`\"[{\\`, 10_000) + `"]`,
	} {
		requireNested(t, b, name, data, false)
	}
	for name, data := range map[string]string{
		"lists":              lists(payload.MaxLevels + 1),
		"objects":            objects(payload.MaxLevels + 1),
		"both":               both(payload.MaxLevels + 1),
		"beside one another": "[" + strings.Repeat("[],", 999) + lists(payload.MaxLevels) + "]",
		"9,999 lists":        lists(9_999),
		"10,000 lists":       lists(10_000),
		"10,000 objects":     objects(10_000),
		"131,072 lists":      lists(131_072),
		"never closed":       strings.Repeat("[", 100_000),
	} {
		requireNested(t, b, name, data, true)
	}

	// What Postgres parses before the function is called it refuses by itself.
	_, err := b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', $1::text::json)", lists(10_000))
	require.Error(t, err)
}

// requireNested asks the client and both SQL functions.
func requireNested(t *testing.T, b *bench, name, data string, refused bool) {
	t.Helper()
	in := valid()
	in.Data = json.RawMessage(data)
	_, bad := newRecord(&in, 256<<10)
	rec := &record{Data: data, Type: in.Type}
	for _, records := range [][]*record{{rec}, {{Data: "1", Type: in.Type}, rec}} {
		savepoint, err := b.tx.Begin(t.Context())
		require.NoError(t, err)
		rows, err := b.client.enqueue(t.Context(), savepoint, records, false)
		require.NoError(t, err, name)
		require.NoError(t, savepoint.Rollback(context.WithoutCancel(t.Context())))
		last := rows[len(rows)-1]
		if !refused {
			require.Nil(t, bad, name)
			require.Equal(t, "inserted", last.Outcome, "%s: %s", name, last.Reason)
			continue
		}
		require.NotNil(t, bad, name)
		require.Equal(t, "Data", bad.Field, name)
		require.Equal(t, "invalid", last.Outcome, name)
		require.Equal(t, "Data", last.Field, name)
		require.Equal(t, "is nested more than 512 levels deep", last.Reason, name)
		require.Equal(t, last.Reason, bad.Reason, name)
	}
}

func TestEnqueue_GoAndSQLCountLevelsAlike(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	deep := rapid.Custom(func(rt *rapid.T) string {
		leaf := rapid.SampledFrom([]string{"1", `"[\"{"`, "[]", "{}", `{"\\":["]"]}`})
		text := leaf.Draw(rt, "leaf")
		levels := rapid.IntRange(payload.MaxLevels-4, payload.MaxLevels+2).Draw(rt, "levels")
		for range levels {
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				text = "[" + text + "]"
			case 1:
				text = `{"k\"}":` + text + "}"
			case 2:
				text = "[" + leaf.Draw(rt, "before") + ", " + text + "]"
			default:
				text = `[ ` + text + `,"]]"]`
			}
		}
		return text
	})
	rapid.Check(t, func(rt *rapid.T) {
		text := deep.Draw(rt, "text")
		require.True(rt, json.Valid([]byte(text)))
		var tooDeep bool
		require.NoError(rt, pool.QueryRow(context.Background(), "SELECT riverhook.nested_too_deep($1)", text).Scan(&tooDeep))
		require.Equal(rt, payload.Levels([]byte(text)) > payload.MaxLevels, tooDeep, text)
	})
}
