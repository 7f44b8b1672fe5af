package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

// clocked is a client that knows event types, and what moves its clock.
func clocked(t *testing.T, pool *pgxpool.Pool, strict bool) (client *Client, pass func(time.Duration)) {
	t.Helper()
	client, err := New(&Config{Pool: pool, Strict: strict})
	require.NoError(t, err)
	start := time.Now()
	var passed atomic.Int64
	client.registry.now = func() time.Time { return start.Add(time.Duration(passed.Load())) }
	return client, func(d time.Duration) { passed.Add(int64(d)) }
}

func ofClient(t *testing.T, client *Client) *EventTypes {
	t.Helper()
	types, err := client.EventTypes()
	require.NoError(t, err)
	return types
}

func person(data string) Intent { return Intent{Type: "a.b", Data: json.RawMessage(data)} }

func requireRefused(t *testing.T, err error, index int, field, reason string) {
	t.Helper()
	var invalid *InvalidIntentError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, index, invalid.Index)
	require.Equal(t, field, invalid.Field)
	require.Equal(t, reason, invalid.Reason)
}

const (
	validPerson   = `{"email": "ann@example.com"}`
	invalidPerson = `{"email": "s3cr3t"}`
	notAnEmail    = `at "/email": is not of the format "email" (schema version 1)`
)

func TestEnqueue_DataIsCheckedBySchema(t *testing.T) {
	t.Parallel()

	t.Run("and a refusal names the place, writes nothing and leaves the transaction usable", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, _ := clocked(t, b.pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(), versioned("a.b", personSchema)))
		_, err := client.Enqueue(t.Context(), b.tx, person(invalidPerson))
		requireRefused(t, err, 0, "Data", notAnEmail)
		require.ErrorIs(t, err, ErrInvalidIntent)
		require.NotContains(t, err.Error(), "s3cr3t")
		_, err = client.EnqueueMany(t.Context(), b.tx, []Intent{person(validPerson), valid(), person(invalidPerson)})
		requireRefused(t, err, 2, "Data", notAnEmail)
		require.Equal(t, [3]int{}, count(t, b.tx))

		_, err = client.EnqueueMany(t.Context(), b.tx, []Intent{person(validPerson), valid()})
		require.NoError(t, err)
		_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: "a.b", Data: map[string]any{"email": "ann@example.com", "age": 7}})
		require.NoError(t, err)
		require.Equal(t, [3]int{3, 3, 3}, count(t, b.tx))
	})

	t.Run("through database/sql too", func(t *testing.T) {
		t.Parallel()
		pool := pgtest.Pool(t)
		client, _ := clocked(t, pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(), versioned("a.b", personSchema)))
		db, err := sql.Open("pgx", pool.Config().ConnString())
		require.NoError(t, err)
		defer db.Close()
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = client.EnqueueSQL(t.Context(), tx, person(invalidPerson))
		requireRefused(t, err, 0, "Data", notAnEmail)
		_, err = client.EnqueueManySQL(t.Context(), tx, []Intent{person(validPerson), person(invalidPerson)})
		requireRefused(t, err, 1, "Data", notAnEmail)
		_, err = client.EnqueueSQL(t.Context(), tx, person(validPerson))
		require.NoError(t, err)
	})

	t.Run("the newest, or the one that is named", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, _ := clocked(t, b.pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(),
			versioned("a.b", personSchema, `{"required": ["name"]}`), EventType{Name: "no.schema"}))
		_, err := client.Enqueue(t.Context(), b.tx, person(validPerson))
		requireRefused(t, err, 0, "Data", `at "": has no property "name" (schema version 2)`)
		in := person(validPerson)
		in.SchemaVersion = 1
		_, err = client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err)
		in.SchemaVersion = 3
		_, err = client.Enqueue(t.Context(), b.tx, in)
		requireRefused(t, err, 0, "SchemaVersion", `3 is not registered for the type "a.b"`)
		in.SchemaVersion = -1
		_, err = client.Enqueue(t.Context(), b.tx, in)
		requireRefused(t, err, 0, "SchemaVersion", "must be from 1 to 2147483647")
		_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: "no.schema", SchemaVersion: 1})
		requireRefused(t, err, 0, "SchemaVersion", `1 is not registered for the type "no.schema"`)
		_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: "no.schema", Data: 1})
		require.NoError(t, err)
	})

	t.Run("of either draft", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		client, _ := clocked(t, b.pool, false)
		require.NoError(t, ofClient(t, client).Register(t.Context(),
			EventType{Name: "draft.seven", Schemas: []EventSchema{
				{
					Version: 1,
					Draft:   Draft7,
					Schema:  json.RawMessage(`{"items": [{"type": "null"}], "additionalItems": false}`),
				},
			}},
			EventType{Name: "draft.new", Schemas: []EventSchema{
				{Version: 1, Schema: json.RawMessage(`{"prefixItems": [{"type": "null"}], "items": false}`)},
			}}))
		for _, name := range []string{"draft.seven", "draft.new"} {
			_, err := client.Enqueue(t.Context(), b.tx, Intent{Type: name, Data: []any{nil}})
			require.NoError(t, err)
			for _, bad := range [][]any{{1}, {nil, nil}} {
				_, err = client.Enqueue(t.Context(), b.tx, Intent{Type: name, Data: bad})
				require.ErrorIs(t, err, ErrInvalidIntent)
			}
		}
	})

	t.Run("and not without a pool", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		types := eventTypes(t, b)
		require.NoError(t, types.Register(t.Context(), versioned("a.b", personSchema)))
		_, err := b.client.Enqueue(t.Context(), b.tx, person(invalidPerson))
		require.NoError(t, err)
		in := person(validPerson)
		in.SchemaVersion = 1
		_, err = b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), in})
		requireRefused(t, err, 1, "SchemaVersion", "needs Config.Pool")
		_, err = b.client.EventTypes()
		require.ErrorContains(t, err, "pool is nil")
		_, err = New(&Config{Strict: true})
		require.ErrorContains(t, err, "Config.Strict: needs Config.Pool")
	})
}

func TestEnqueue_WhatAClientKnowsOfTypesIsAtMostFiveSecondsOld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	writer, _ := clocked(t, b.pool, false)
	reader, pass := clocked(t, b.pool, false)
	types := ofClient(t, writer)
	enqueue := func(c *Client) error {
		_, err := c.Enqueue(t.Context(), b.tx, person(invalidPerson))
		return err
	}
	require.NoError(t, enqueue(writer))
	require.NoError(t, enqueue(reader))

	// Who registers knows it at once, others when what they know is 5 s old.
	for _, change := range []struct {
		do     func() error
		reason string
	}{
		{func() error { return types.Register(t.Context(), versioned("a.b", personSchema)) }, "email"},
		{func() error { return types.Register(t.Context(), versioned("a.b", personSchema, "false")) }, "version 2"},
		{func() error { return types.Archive(t.Context(), "a.b") }, "is archived"},
		{func() error { return types.Unarchive(t.Context(), "a.b") }, "version 2"},
	} {
		before := enqueue(reader)
		require.NoError(t, change.do())
		require.ErrorContains(t, enqueue(writer), change.reason)
		pass(registryMaxAge - time.Millisecond)
		require.Equal(t, before, enqueue(reader))
		pass(time.Millisecond)
		require.ErrorContains(t, enqueue(reader), change.reason)
	}
	require.Equal(t, 5*time.Second, registryMaxAge)
}

func TestEnqueue_ATypeIsReadApartFromTheTransactionAndNotWhileItIsKnown(t *testing.T) {
	t.Parallel()
	counter := &statements{}
	pool := tracedPool(t, counter)
	b := setup(t)
	client, pass := clocked(t, pool, false)
	require.NoError(t, ofClient(t, client).Register(t.Context(), versioned("a.b", personSchema)))
	// Under a snapshot of before, and in a transaction that has failed, it works all the same.
	old, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	require.NoError(t, err)
	defer old.Rollback(context.WithoutCancel(t.Context()))
	_, err = old.Exec(t.Context(), "SELECT 1/0")
	require.Error(t, err)
	require.False(t, store.IsPeculiar(t.Context(), pool)) // looked at once for each pool
	counter.n = 0
	for range 3 {
		_, err = client.Enqueue(t.Context(), old, person(invalidPerson))
		require.ErrorIs(t, err, ErrInvalidIntent)
	}
	require.Equal(t, 2, counter.n, "one statement for the types, one for the schema")
	pass(registryMaxAge)
	_, err = client.Enqueue(t.Context(), b.tx, person(invalidPerson))
	require.Error(t, err)
	require.Equal(t, 3, counter.n, "a schema never changes")
	_, err = client.EnqueueMany(t.Context(), b.tx, nil)
	require.NoError(t, err)
	require.Equal(t, 3, counter.n)
}

func TestEnqueue_AStrictClientTakesRegisteredTypesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client, _ := clocked(t, b.pool, true)
	_, err := client.EnqueueMany(t.Context(), b.tx, []Intent{person("1")})
	requireRefused(t, err, 0, "Type", `"a.b" is not registered; register it with EventTypes, or switch Strict off`)
	require.NoError(t, ofClient(t, client).Register(t.Context(), EventType{Name: "a.b", Extends: []string{"umbrella.type"}}))
	_, err = client.EnqueueMany(t.Context(), b.tx, []Intent{person("1"), {Type: "umbrella.type"}})
	requireRefused(t, err, 1, "Type", `"umbrella.type" is not registered; register it with EventTypes, or switch Strict off`)
	_, err = client.Enqueue(t.Context(), b.tx, person("1"))
	require.NoError(t, err)
}

func TestEnqueue_AnArchivedTypeIsRefusedAndWhatThereIsOfItStays(t *testing.T) {
	t.Parallel()
	for _, strict := range []bool{false, true} {
		b := setup(t)
		client, _ := clocked(t, b.pool, strict)
		types := ofClient(t, client)
		require.NoError(t, types.Register(t.Context(), EventType{Name: "a.b"}))
		_, err := client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err)
		require.NoError(t, types.Archive(t.Context(), "a.b"))
		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		requireRefused(t, err, 0, "Type", `"a.b" is archived`)
		require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
		require.NoError(t, types.Unarchive(t.Context(), "a.b"))
		_, err = client.Enqueue(t.Context(), b.tx, person("1"))
		require.NoError(t, err)
	}
}

func TestEnqueue_WhenTypesCannotBeReadTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)

	missing, err := New(&Config{Pool: b.pool, Schema: "nowhere"})
	require.NoError(t, err)
	_, err = missing.Enqueue(t.Context(), b.tx, valid())
	require.ErrorIs(t, err, ErrEventTypesUnavailable)
	require.ErrorIs(t, err, ErrNotMigrated)
	require.NotErrorIs(t, err, ErrInvalidIntent)

	// All connections are taken, as by transactions that wait for this one.
	cfg := b.pool.Config()
	cfg.MaxConns = 1
	full, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer full.Close()
	held, err := full.Acquire(t.Context())
	require.NoError(t, err)
	client, _ := clocked(t, full, false)
	client.registry.timeout = time.Millisecond
	_, err = client.Enqueue(t.Context(), b.tx, valid())
	require.ErrorIs(t, err, ErrEventTypesUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	held.Release()

	client.registry.timeout = time.Minute
	_, err = client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	require.Equal(t, [3]int{1, 1, 1}, count(t, b.tx))
}

func TestEnqueue_ManyMayWhileTypesAreRegisteredAndArchived(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	own, err := pgxpool.NewWithConfig(t.Context(), pool.Config())
	require.NoError(t, err)
	defer own.Close()
	client, pass := clocked(t, own, false)
	types := ofClient(t, client)
	require.NoError(t, types.Register(t.Context(), versioned("a.b", personSchema)))
	done := make(chan error)
	for range 4 {
		go func() {
			for range 25 {
				pass(time.Second)
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := client.Enqueue(t.Context(), tx, person(invalidPerson))
					return err
				})
				if !strings.Contains(err.Error(), "email") && !strings.Contains(err.Error(), "archived") {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 10 {
		require.NoError(t, types.Archive(t.Context(), "a.b"))
		require.NoError(t, types.Unarchive(t.Context(), "a.b"))
	}
	for range 4 {
		require.NoError(t, <-done)
	}
	_, err = client.Enqueue(t.Context(), begin(t, pool), person(invalidPerson))
	requireRefused(t, err, 0, "Data", notAnEmail)
}

func TestEnqueue_ReadsTypesWithTheRightsThatAreDocumented(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, eventTypes(t, b).Register(t.Context(), versioned("a.b", personSchema)))
	role := pgx.Identifier{b.pool.Config().ConnConfig.Database + "_reader"}.Sanitize()
	_, err := b.pool.Exec(t.Context(), strings.ReplaceAll(
		`CREATE ROLE reader; GRANT reader TO CURRENT_USER; GRANT USAGE ON SCHEMA riverhook TO reader`, "reader", role))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := b.pool.Exec(context.WithoutCancel(t.Context()), strings.ReplaceAll("DROP OWNED BY reader; DROP ROLE reader", "reader", role))
		require.NoError(t, err)
	})
	cfg := b.pool.Config()
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE "+role)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()
	client, _ := clocked(t, pool, false)
	_, err = client.Enqueue(t.Context(), b.tx, person(invalidPerson))
	require.ErrorContains(t, err, `needs USAGE on schema "riverhook" and SELECT on its tables event_type and event_schema`)
	_, err = b.pool.Exec(t.Context(), "GRANT SELECT ON riverhook.event_type, riverhook.event_schema TO "+role)
	require.NoError(t, err)
	_, err = client.Enqueue(t.Context(), b.tx, person(invalidPerson))
	requireRefused(t, err, 0, "Data", notAnEmail)
}
