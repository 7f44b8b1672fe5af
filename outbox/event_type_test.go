package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/event"
)

func TestEventTypes_AreRegisteredChangedReadAndListed(t *testing.T) {
	t.Parallel()

	setupTypes := func(t *testing.T) (*bench, *EventTypes) {
		t.Helper()
		b := setup(t)
		types, err := NewEventTypes(b.pool, nil)
		require.NoError(t, err)
		return b, types
	}
	patterns := func(t *testing.T, b *bench, name string) []string {
		t.Helper()
		var got []string
		require.NoError(t, b.tx.QueryRow(t.Context(), "SELECT umbrella_patterns FROM riverhook.event_type WHERE name = $1", name).Scan(&got))
		return got
	}
	hears := func(t *testing.T, b *bench, name string, umbrellas ...string) {
		t.Helper()
		require.Equal(t, umbrellaPatterns(umbrellas), patterns(t, b, name))
	}

	t.Run("are registered, changed, read and listed", func(t *testing.T) {
		t.Parallel()
		b, types := setupTypes(t)
		require.NoError(t, types.Register(t.Context(), EventType{Name: "user.created", Description: "A user."}, EventType{Name: "user_a.x"}))
		first, err := types.Get(t.Context(), "user.created")
		require.NoError(t, err)
		require.Equal(t, "A user.", first.Description)
		require.Empty(t, first.Extends)
		require.False(t, first.CreatedAt.IsZero())

		require.NoError(t, types.Register(t.Context(),
			EventType{
				Name:        "user.created",
				Description: "Another.",
				Extends:     []string{"user.changed"},
			}))
		second, err := types.In(b.tx).Get(t.Context(), "user.created")
		require.NoError(t, err)
		require.Equal(t, "Another.", second.Description)
		require.Equal(t, []string{"user.changed"}, second.Extends)
		require.Empty(t, first.Payloads)
		second.Payloads = event.KeepHash
		require.NoError(t, types.Register(t.Context(), second))
		second, err = types.In(b.tx).Get(t.Context(), "user.created")
		require.NoError(t, err)
		require.Equal(t, event.KeepHash, second.Payloads)
		second.PayloadAge = time.Hour
		require.NoError(t, types.Register(t.Context(), second))
		second, err = types.In(b.tx).Get(t.Context(), "user.created")
		require.NoError(t, err)
		require.Equal(t, time.Hour, second.PayloadAge)
		require.Equal(t, first.CreatedAt, second.CreatedAt)
		require.True(t, second.UpdatedAt.After(first.UpdatedAt))

		all, err := listed(types.List(t.Context(), nil))
		require.NoError(t, err)
		require.Len(t, all, 2)
		page, err := types.In(b.tx).List(t.Context(), &ListEventTypesOpts{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []EventType{second}, page.EventTypes)
		page, err = types.List(t.Context(), &ListEventTypesOpts{Cursor: page.Next, Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "user_a.x", page.EventTypes[0].Name)
		require.Empty(t, page.Next)
		_, err = types.List(t.Context(), &ListEventTypesOpts{Cursor: "user.created"})
		require.ErrorContains(t, err, "Cursor")
		_, err = types.List(t.Context(), &ListEventTypesOpts{Limit: 1001})
		require.ErrorContains(t, err, "Limit")
		_, err = types.Get(t.Context(), "no.such")
		require.ErrorIs(t, err, ErrNotFound)
	})

	t.Run("are heard by umbrellas of umbrellas, in whatever order they are registered", func(t *testing.T) {
		t.Parallel()
		b, types := setupTypes(t)
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.a", Extends: []string{"b.b"}}))
		hears(t, b, "a.a", "b.b")
		require.NoError(t, types.Register(t.Context(), EventType{Name: "c.c"}, EventType{Name: "b.b", Extends: []string{"c.c"}}))
		hears(t, b, "a.a", "b.b", "c.c")
		hears(t, b, "b.b", "c.c")
		hears(t, b, "c.c")
		require.NoError(t, types.Register(t.Context(), EventType{Name: "c.c", Extends: []string{"d.d", "e.e"}}))
		hears(t, b, "a.a", "b.b", "c.c", "d.d", "e.e")
		require.NoError(t, types.Register(t.Context(), EventType{Name: "b.b"}))
		hears(t, b, "a.a", "b.b")
		require.Contains(t, patterns(t, b, "a.a"), "b.*")
	})

	t.Run("again the same they are only read", func(t *testing.T) {
		t.Parallel()
		b, types := setupTypes(t)
		umbrella := EventType{Name: "a.a", Extends: []string{"b.b"}}
		require.NoError(t, types.Register(t.Context(), umbrella))
		_, err := b.tx.Exec(t.Context(), "LOCK TABLE riverhook.event_type IN SHARE ROW EXCLUSIVE MODE")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // instead of waiting for the lock
		defer cancel()
		require.NoError(t, types.Register(ctx, umbrella))
		require.NoError(t, types.Register(ctx))
	})

	t.Run("in the caller's transaction they go with it", func(t *testing.T) {
		t.Parallel()
		b, types := setupTypes(t)
		require.NoError(t, types.In(b.tx).Register(t.Context(), EventType{Name: "a.a"}))
		err := types.In(b.tx).Register(t.Context(), EventType{Name: "b.b"}, EventType{Name: "c.c", Extends: []string{"c.c"}})
		require.ErrorIs(t, err, ErrInvalidEventType)
		all, err := listed(types.In(b.tx).List(t.Context(), nil))
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.NoError(t, b.tx.Rollback(t.Context()))
		_, err = types.Get(t.Context(), "a.a")
		require.ErrorIs(t, err, ErrNotFound)
	})

	t.Run("two processes that register at once do not lose what the other wrote", func(t *testing.T) {
		t.Parallel()
		b, types := setupTypes(t)
		require.NoError(t, types.In(b.tx).Register(t.Context(), EventType{Name: "a.a", Extends: []string{"b.b"}}))
		done := make(chan error, 1)
		go func() { done <- types.Register(t.Context(), EventType{Name: "b.b", Extends: []string{"c.c"}}) }()
		waitForLock(t, b.pool, 1)
		require.NoError(t, b.tx.Commit(t.Context()))
		require.NoError(t, <-done)
		b.tx = begin(t, b.pool)
		hears(t, b, "a.a", "b.b", "c.c")
	})

	t.Run("are refused by field", func(t *testing.T) {
		t.Parallel()
		_, types := setupTypes(t)
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.a", Extends: []string{"b.b"}}))
		many := make([]string, 33)
		for i := range many {
			many[i] = fmt.Sprintf("a.b%d", i)
		}
		for _, c := range []struct {
			field, reason string
			bad           EventType
		}{
			{"Name", "segments", EventType{Name: "user"}},
			{"Name", "riverhook.", EventType{Name: "riverhook.delivery.exhausted"}},
			{"Extends", "riverhook.", EventType{Name: "x.y", Extends: []string{"riverhook.delivery.exhausted"}}},
			{"Description", "1024", EventType{Name: "x.y", Description: strings.Repeat("é", 1025)}},
			{"Description", "NUL", EventType{Name: "x.y", Description: "\x00"}},
			{"Extends", "at most 32", EventType{Name: "x.y", Extends: many}},
			{"Extends", "user.*", EventType{Name: "x.y", Extends: []string{"user.*"}}},
			{"Extends", "twice", EventType{Name: "x.y", Extends: []string{"a.b", "a.b"}}},
			{"Extends", "x.y extends x.y", EventType{Name: "x.y", Extends: []string{"x.y"}}},
			{"Extends", "b.b extends a.a extends b.b", EventType{Name: "b.b", Extends: []string{"a.a"}}},
			{"PayloadAge", "needs Payloads", EventType{Name: "x.y", PayloadAge: time.Hour}},
			{"PayloadAge", "needs Payloads", EventType{
				Name:       "x.y",
				Payloads:   event.KeepBody,
				PayloadAge: time.Hour,
			}},
			{"PayloadAge", "-1h0m0s is not", EventType{
				Name:       "x.y",
				Payloads:   event.KeepHash,
				PayloadAge: -time.Hour,
			}},
			{"PayloadAge", "1ns is not", EventType{
				Name:       "x.y",
				Payloads:   event.KeepHash,
				PayloadAge: 1,
			}},
			{"Payloads", `"all" is none of body, hash and nothing`, EventType{Name: "x.y", Payloads: "all"}},
		} {
			err := types.Register(t.Context(), EventType{Name: "good.one"}, c.bad)
			var invalid *InvalidEventTypeError
			require.ErrorAs(t, err, &invalid)
			require.ErrorIs(t, err, ErrInvalidEventType)
			require.Equal(t, c.bad.Name, invalid.Name)
			require.Equal(t, c.field, invalid.Field)
			require.ErrorContains(t, err, c.reason)
		}
		_, err := types.Get(t.Context(), "good.one")
		require.ErrorIs(t, err, ErrNotFound)
	})

	t.Run("need a pool and a schema", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := NewEventTypes(nil, nil)
		require.ErrorContains(t, err, "pool is nil")
		_, err = NewEventTypes(b.pool, &EventTypesConfig{Schema: "A"})
		require.ErrorContains(t, err, "EventTypesConfig.Schema")
		types, err := NewEventTypes(b.pool, &EventTypesConfig{Schema: "nowhere"})
		require.NoError(t, err)
		require.ErrorContains(t, types.Register(t.Context(), EventType{Name: "a.a"}), "outbox: register event types: ")
		_, err = types.Get(t.Context(), "a.a")
		require.ErrorContains(t, err, "outbox: get event type: ")
		_, err = types.List(t.Context(), nil)
		require.ErrorContains(t, err, "outbox: list event types: ")
		require.ErrorContains(t, types.In(b.tx).Register(t.Context(), EventType{Name: "a.a"}), "outbox: register event types: ")
	})
}

func TestUmbrellas_AreThoseThatAreReached(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		node := rapid.SampledFrom([]string{"a.a", "b.b", "c.c", "d.d", "e.e"})
		graph := extensions(rapid.MapOf(node, rapid.SliceOfN(node, 0, 3)).Draw(rt, "graph"))
		start := node.Draw(rt, "start")
		reached := map[string]bool{}
		for frontier := []string{start}; len(frontier) > 0; frontier = frontier[1:] {
			for _, next := range graph[frontier[0]] {
				if !reached[next] {
					reached[next] = true
					frontier = append(frontier, next)
				}
			}
		}
		got, err := graph.umbrellas(start)
		if reached[start] {
			require.ErrorIs(rt, err, ErrInvalidEventType)
			return
		}
		require.NoError(rt, err)
		require.Len(rt, got, len(reached))
		for _, name := range got {
			require.True(rt, reached[name])
		}
		for _, pattern := range umbrellaPatterns(got) {
			require.True(rt, slices.ContainsFunc(got, func(name string) bool { return event.MatchPattern(pattern, name) }))
		}
	})
}

// listed are the types of a page.
func listed(page *EventTypePage, err error) ([]EventType, error) {
	if err != nil {
		return nil, err
	}
	return page.EventTypes, nil
}
