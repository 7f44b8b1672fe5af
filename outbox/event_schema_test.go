package outbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/txn"
)

const personSchema = `{
	"type": "object",
	"required": ["email"],
	"properties": {"email": {"type": "string", "format": "email"}, "age": {"type": "integer"}}
}`

func versioned(name string, schemas ...string) EventType {
	t := EventType{Name: name}
	for i, schema := range schemas {
		t.Schemas = append(t.Schemas, EventSchema{Version: i + 1, Schema: json.RawMessage(schema)})
	}
	return t
}

func eventTypes(t *testing.T, b *bench) *EventTypes {
	t.Helper()
	types, err := NewEventTypes(b.pool, nil)
	require.NoError(t, err)
	return types
}

func TestEventTypes_SchemasAreKeptSideBySideAsTheyWereWritten(t *testing.T) {
	t.Parallel()

	t.Run("are kept side by side, as they were written", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		first := EventType{Name: "a.b", Schemas: []EventSchema{
			{
				Version: 1,
				Schema:  json.RawMessage(personSchema),
				Example: json.RawMessage(`{"email": "\u0061nn@example.com"}`),
			},
		}}
		require.NoError(t, types.Register(t.Context(), first, EventType{Name: "c.d"}))
		require.Empty(t, first.Schemas[0].Draft, "the caller's value is left alone")
		second := EventSchema{
			Version: 3,
			Draft:   Draft7,
			Schema:  json.RawMessage(" true "),
		}
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b", Schemas: []EventSchema{second}}))
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b"}))

		got, err := types.Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.Len(t, got.Schemas, 2)
		require.Equal(t, Draft2020_12, got.Schemas[0].Draft)
		require.Equal(t, personSchema, string(got.Schemas[0].Schema))
		require.JSONEq(t, `{"email": "ann@example.com"}`, string(got.Schemas[0].Example))
		require.False(t, got.Schemas[0].CreatedAt.IsZero())
		require.Equal(t, []any{3, Draft7, " true ", 0}, []any{
			got.Schemas[1].Version, got.Schemas[1].Draft, string(got.Schemas[1].Schema), len(got.Schemas[1].Example),
		})
		all, err := listed(types.List(t.Context(), nil))
		require.NoError(t, err)
		require.Equal(t, got, all[0])
		require.Empty(t, all[1].Schemas)
	})

	t.Run("again the same they are only read", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.Register(t.Context(), versioned("a.b", personSchema)))
		var compact map[string]any
		require.NoError(t, json.Unmarshal([]byte(personSchema), &compact))
		again, err := json.Marshal(compact)
		require.NoError(t, err)
		_, err = b.tx.Exec(t.Context(), "LOCK TABLE riverhook.event_type, riverhook.event_schema IN SHARE ROW EXCLUSIVE MODE")
		require.NoError(t, err)
		require.NoError(t, types.Register(t.Context(), versioned("a.b", string(again))))
	})

	t.Run("do not change, but for the example", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.Register(t.Context(), versioned("a.b", personSchema)))
		err := types.In(b.tx).Register(t.Context(), EventType{Name: "new.one"}, versioned("a.b", "true"))
		require.ErrorIs(t, err, ErrInvalidEventType)
		require.ErrorContains(t, err, "Schemas: version 1: is registered with another schema")
		other := versioned("a.b", personSchema)
		other.Schemas[0].Draft = Draft7
		require.ErrorIs(t, types.In(b.tx).Register(t.Context(), other), ErrInvalidEventType)
		all, err := listed(types.In(b.tx).List(t.Context(), nil))
		require.NoError(t, err)
		require.Len(t, all, 1)

		example := versioned("a.b", personSchema)
		example.Schemas[0].Example = json.RawMessage(`{"email": "a@example.com"}`)
		require.NoError(t, types.In(b.tx).Register(t.Context(), example))
		got, err := types.In(b.tx).Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.JSONEq(t, `{"email": "a@example.com"}`, string(got.Schemas[0].Example))
	})

	t.Run("are refused by the place in them", func(t *testing.T) {
		t.Parallel()
		types := eventTypes(t, setup(t))
		large := json.RawMessage(`"` + strings.Repeat("a", maxSchemaBytes) + `"`)
		for reason, bad := range map[string]EventSchema{
			`version 0: must be from 1`:           {Schema: json.RawMessage("true")},
			`version 1: Schema: has 262146 bytes`: {Version: 1, Schema: large},
			`version 1: Example: has 262146 bytes`: {
				Version: 1,
				Schema:  json.RawMessage("true"),
				Example: large,
			},
			`version 1: Schema: at "": must be valid JSON`:     {Version: 1},
			`version 2: Schema: at "/properties/a/type": `:     {Version: 2, Schema: json.RawMessage(`{"properties": {"a": {"type": "text"}}}`)},
			`Schema: at "": refers to "https://example.com/x"`: {Version: 1, Schema: json.RawMessage(`{"$ref": "https://example.com/x"}`)},
			`version 1: Example: at "/email": is not of the fo`: {
				Version: 1,
				Schema:  json.RawMessage(personSchema),
				Example: json.RawMessage(`{"email": 1, "email": "x"}`),
			},
			`version 1: Example: must be valid JSON`: {
				Version: 1,
				Schema:  json.RawMessage(personSchema),
				Example: json.RawMessage(`{} {}`),
			},
		} {
			err := types.Register(t.Context(), EventType{Name: "a.b", Schemas: []EventSchema{bad}})
			var invalid *InvalidEventTypeError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, []string{"a.b", "Schemas"}, []string{invalid.Name, invalid.Field})
			require.Contains(t, invalid.Reason, reason)
		}
		twice := versioned("a.b", "true", "false")
		twice.Schemas[1].Version = 1
		require.ErrorContains(t, types.Register(t.Context(), twice), "another schema")
	})

	t.Run("registered at once by many are there once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		done := make(chan error)
		for i := range 8 {
			go func() {
				done <- types.Register(t.Context(), versioned("a.b", personSchema), versioned(fmt.Sprintf("own.n%d", i), "true"))
			}()
		}
		for range 8 {
			require.NoError(t, <-done)
		}
		all, err := listed(types.List(t.Context(), nil))
		require.NoError(t, err)
		require.Len(t, all, 9)
		for _, eventType := range all {
			require.Len(t, eventType.Schemas, 1)
		}
	})

	t.Run("registered at once with other content: one of them is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.In(b.tx).Register(t.Context(), versioned("a.b", "true")))
		done := make(chan error, 1)
		go func() { done <- types.Register(t.Context(), versioned("a.b", "false")) }()
		waitForLock(t, b.pool, 1)
		require.NoError(t, b.tx.Commit(t.Context()))
		require.ErrorIs(t, <-done, ErrInvalidEventType)
	})
}

func TestEventTypes_AnArchivedOneIsReadAndNotEnqueued(t *testing.T) {
	t.Parallel()

	t.Run("is read, listed on request and left archived by Register", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b"}))
		require.NoError(t, types.Archive(t.Context(), "a.b"))
		first, err := types.Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.NotNil(t, first.ArchivedAt)
		require.NoError(t, types.Archive(t.Context(), "a.b"))
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b", Description: "Changed."}))
		second, err := types.Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.Equal(t, first.ArchivedAt, second.ArchivedAt)

		all, err := listed(types.List(t.Context(), nil))
		require.NoError(t, err)
		require.Empty(t, all)
		all, err = listed(types.List(t.Context(), &ListEventTypesOpts{IncludeArchived: true}))
		require.NoError(t, err)
		require.Equal(t, []EventType{second}, all)

		require.NoError(t, types.In(b.tx).Unarchive(t.Context(), "a.b"))
		got, err := types.In(b.tx).Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.Nil(t, got.ArchivedAt)
		require.NoError(t, types.In(b.tx).Archive(t.Context(), "a.b"))
		require.NoError(t, b.tx.Commit(t.Context()))
		require.NoError(t, types.Unarchive(t.Context(), "a.b"))
		got, err = types.Get(t.Context(), "a.b")
		require.NoError(t, err)
		require.Nil(t, got.ArchivedAt)
	})

	t.Run("must be registered", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		for _, name := range []string{"a.b", "\x00", "\xff"} {
			require.ErrorIs(t, types.In(b.tx).Archive(t.Context(), name), ErrNotFound)
			require.ErrorIs(t, types.In(b.tx).Unarchive(t.Context(), name), ErrNotFound)
		}
		nowhere := &EventTypes{scope: txn.Of(b.pool), schema: "nowhere"}
		require.ErrorContains(t, nowhere.Archive(t.Context(), "a.b"), "outbox: archive event type: ")
	})

	t.Run("cannot be enqueued by SQL, and can again when it is unarchived", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.In(b.tx).Register(t.Context(), EventType{Name: "a.b"}))
		require.NoError(t, types.In(b.tx).Archive(t.Context(), "a.b"))
		savepoint := begin(t, b.tx)
		_, err := savepoint.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1')")
		require.ErrorContains(t, err, `riverhook: intent: Type: "a.b" is archived (SQLSTATE 22023)`)
		require.NoError(t, savepoint.Rollback(t.Context()))
		require.NoError(t, types.In(b.tx).Unarchive(t.Context(), "a.b"))
		_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('a.b', '1'), riverhook.enqueue('not.registered', '1')")
		require.NoError(t, err)
		require.Equal(t, [3]int{2, 2, 2}, count(t, b.tx))
	})
}
