package outboxtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/outbox/outboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a test that can fail without failing.
type recorder struct{ failure string }

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) { r.failure = fmt.Sprintf(format, args...) }

// side is one of the two kinds of transaction.
type side struct {
	enqueue    func(...outbox.Intent)
	enqueued   func(*outboxtest.Opts) ([]outbox.Intent, error)
	require    func(outboxtest.TB, outbox.Intent, *outboxtest.Opts) outbox.Intent
	requireNot func(outboxtest.TB, outbox.Intent, *outboxtest.Opts)
}

func onBothSides(t *testing.T, test func(t *testing.T, s side)) {
	t.Helper()
	t.Run("pgx", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		tx, err := pgtest.Pool(t).Begin(ctx)
		require.NoError(t, err)
		defer tx.Rollback(context.WithoutCancel(ctx))
		test(t, side{
			enqueue: func(in ...outbox.Intent) {
				_, err := outbox.EnqueueMany(ctx, tx, in)
				require.NoError(t, err)
			},
			enqueued: func(o *outboxtest.Opts) ([]outbox.Intent, error) { return outboxtest.Enqueued(ctx, tx, o) },
			require: func(tb outboxtest.TB, in outbox.Intent, o *outboxtest.Opts) outbox.Intent {
				return outboxtest.RequireEnqueued(ctx, tb, tx, in, o)
			},
			requireNot: func(tb outboxtest.TB, in outbox.Intent, o *outboxtest.Opts) {
				outboxtest.RequireNotEnqueued(ctx, tb, tx, in, o)
			},
		})
	})
	t.Run("database/sql", func(t *testing.T) {
		t.Parallel()
		ctx := t.Context()
		db := stdlib.OpenDBFromPool(pgtest.Pool(t))
		defer db.Close()
		tx, err := db.BeginTx(ctx, nil)
		require.NoError(t, err)
		defer tx.Rollback()
		test(t, side{
			enqueue: func(in ...outbox.Intent) {
				_, err := outbox.EnqueueManySQL(ctx, tx, in)
				require.NoError(t, err)
			},
			enqueued: func(o *outboxtest.Opts) ([]outbox.Intent, error) { return outboxtest.EnqueuedSQL(ctx, tx, o) },
			require: func(tb outboxtest.TB, in outbox.Intent, o *outboxtest.Opts) outbox.Intent {
				return outboxtest.RequireEnqueuedSQL(ctx, tb, tx, in, o)
			},
			requireNot: func(tb outboxtest.TB, in outbox.Intent, o *outboxtest.Opts) {
				outboxtest.RequireNotEnqueuedSQL(ctx, tb, tx, in, o)
			},
		})
	})
}

var at = time.Date(2024, 2, 29, 1, 2, 3, 123456789, time.UTC)

func full() outbox.Intent {
	return outbox.Intent{
		ActiveSite: "/noaa",
		Actor:      "ann",
		Attributes: map[string]string{"a": "1", "b": "2"},
		Channel:    "c",
		Data:       json.RawMessage(`{"n": 12345678901234567890, "m": [1]}`),
		ID:         "x",
		NotBefore:  at.Add(time.Hour),
		OccurredAt: at,
		Resource:   access.Resource{Kind: "user", ID: "42"},
		Site:       "/noaa/nws",
		Type:       "user.created",
	}
}

func TestRequireEnqueued_AnIntentIsAsWantedByTheFieldsThatAreSet(t *testing.T) {
	t.Parallel()
	onBothSides(t, func(t *testing.T, s side) {
		s.enqueue(full(), outbox.Intent{Type: "user.deleted"})
		for name, want := range map[string]outbox.Intent{
			"all fields": full(),
			"type":       {Type: "user.created"},
			"id":         {ID: "x"},
			"resource":   {Resource: access.Resource{Kind: "user"}},
			"data":       {Data: map[string]any{"m": []int{1}, "n": json.Number("12345678901234567890")}},
			"data text":  {Data: []byte(`{"m":[1],"n":12345678901234567890}`)},
			"attribute":  {Attributes: map[string]string{"b": "2"}},
			"time":       {OccurredAt: at.In(time.FixedZone("", 3600))},
			"not before": {NotBefore: at.Add(time.Hour)},
		} {
			got := s.require(t, want, nil)
			require.Equal(t, "x", got.ID, name)
		}
		got := s.require(t, full(), nil)
		require.Equal(t, full().Data, got.Data)
		require.Equal(t, full().Attributes, got.Attributes)
		s.requireNot(t, outbox.Intent{Type: "user.updated"}, nil)
	})
}

func TestRequireEnqueued_AnIntentThatDiffersIsNamedWithItsDifference(t *testing.T) {
	t.Parallel()
	onBothSides(t, func(t *testing.T, s side) {
		s.enqueue(full())
		for difference, want := range map[string]outbox.Intent{
			`Type: want "user.deleted", got "user.created"`:                                 {Type: "user.deleted"},
			`ID: want "y", got "x"`:                                                         {ID: "y"},
			`Site: want "/noaa", got "/noaa/nws"`:                                           {Site: "/noaa"},
			`ActiveSite: want "/", got "/noaa"`:                                             {ActiveSite: "/"},
			`Resource.Kind: want "office", got "user"`:                                      {Resource: access.Resource{Kind: "office"}},
			`Resource.ID: want "4", got "42"`:                                               {Resource: access.Resource{ID: "4"}},
			`Actor: want "bob", got "ann"`:                                                  {Actor: "bob"},
			`Channel: want "d", got "c"`:                                                    {Channel: "d"},
			`Attributes["a"]: want "2", got "1"`:                                            {Attributes: map[string]string{"a": "2"}},
			`Attributes["z"]: want "", got none`:                                            {Attributes: map[string]string{"z": ""}},
			`Data: want {"n":1}, got {"n": 12345678901234567890, "m": [1]}`:                 {Data: map[string]int{"n": 1}},
			`OccurredAt: want 2024-02-29T01:02:04.123456Z, got 2024-02-29T01:02:03.123456Z`: {OccurredAt: at.Add(time.Second)},
			`NotBefore: want 2024-02-29T01:02:03.123456Z, got 2024-02-29T02:02:03.123456Z`:  {NotBefore: at},
		} {
			var r recorder
			require.Zero(t, s.require(&r, want, nil))
			require.Contains(t, r.failure, "outboxtest: 0 intents of this transaction are as wanted, 1 must be.\nWanted: ")
			require.Contains(t, r.failure, "\n  user.created at /noaa/nws, resource \"user:42\", id x\n    "+difference)
		}
	})
}

func TestRequireEnqueued_WhatElseFails(t *testing.T) {
	t.Parallel()
	onBothSides(t, func(t *testing.T, s side) {
		failure := func(f func(outboxtest.TB)) string {
			var r recorder
			f(&r)
			return r.failure
		}
		require.Contains(t, failure(func(tb outboxtest.TB) { s.require(tb, outbox.Intent{Type: "a.b"}, nil) }),
			"The transaction has written no intents.")
		s.requireNot(t, outbox.Intent{}, nil)

		s.enqueue(full(), outbox.Intent{Type: "user.created"})
		require.Contains(t, failure(func(tb outboxtest.TB) { s.require(tb, outbox.Intent{Type: "user.created"}, nil) }),
			"2 intents of this transaction are as wanted, 1 must be.\nWanted: Type \"user.created\"")
		unwanted := failure(func(tb outboxtest.TB) { s.requireNot(tb, outbox.Intent{}, nil) })
		require.Contains(t, unwanted, "2 intents of this transaction are as the unwanted one.\nUnwanted: any intent")
		require.Contains(t, unwanted, "user.created at /noaa/nws")
		for _, bad := range []any{math.NaN(), []byte("{"), json.RawMessage("{")} {
			require.Contains(t, failure(func(tb outboxtest.TB) { s.require(tb, outbox.Intent{Data: bad}, nil) }), "the wanted Data")
			require.Contains(t, failure(func(tb outboxtest.TB) { s.requireNot(tb, outbox.Intent{Data: bad}, nil) }), "the wanted Data")
		}
		_, err := s.enqueued(&outboxtest.Opts{Schema: "A"})
		require.ErrorContains(t, err, "Opts.Schema")
		require.Contains(t, failure(func(tb outboxtest.TB) { s.require(tb, outbox.Intent{}, &outboxtest.Opts{Schema: "nowhere"}) }), "nowhere")
	})
}

func TestEnqueued_OnlyTheTransactionItselfCounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := pgtest.Pool(t)
	require.NoError(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := outbox.Enqueue(ctx, tx, outbox.Intent{Type: "user.created"})
		return err
	}))
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(ctx))
	outboxtest.RequireNotEnqueued(ctx, t, tx, outbox.Intent{}, nil)

	savepoint, err := tx.Begin(ctx)
	require.NoError(t, err)
	_, err = outbox.Enqueue(ctx, savepoint, outbox.Intent{Type: "user.deleted", ID: "first"})
	require.NoError(t, err)
	require.NoError(t, savepoint.Commit(ctx))
	in := make([]outbox.Intent, 20)
	for i := range in {
		in[i] = outbox.Intent{Type: "user.moved", ID: strconv.Itoa(100 - i)}
	}
	_, err = outbox.EnqueueMany(ctx, tx, in)
	require.NoError(t, err)
	outboxtest.RequireEnqueued(ctx, t, tx, outbox.Intent{Type: "user.deleted"}, nil)
	all, err := outboxtest.Enqueued(ctx, tx, nil)
	require.NoError(t, err)
	require.Len(t, all, 21)
	require.Equal(t, "first", all[0].ID)
	for i, one := range all[1:] {
		require.Equal(t, in[i].ID, one.ID)
	}
}

func TestEnqueued_TheSchemaVersionIsThatOfTheCheck(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pool := pgtest.Pool(t)
	client, err := outbox.New(&outbox.Config{Pool: pool})
	require.NoError(t, err)
	types, err := client.EventTypes()
	require.NoError(t, err)
	require.NoError(t, types.Register(ctx, outbox.EventType{
		Name: "user.created", Schemas: []outbox.EventSchema{{Version: 3, Schema: json.RawMessage("true")}},
	}))
	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(ctx))
	_, err = client.Enqueue(ctx, tx, outbox.Intent{Type: "user.created"})
	require.NoError(t, err)
	require.Equal(t, 3, outboxtest.RequireEnqueued(ctx, t, tx, outbox.Intent{SchemaVersion: 3}, nil).SchemaVersion)
	r := &recorder{}
	outboxtest.RequireEnqueued(ctx, r, tx, outbox.Intent{SchemaVersion: 2}, nil)
	require.Contains(t, r.failure, "SchemaVersion: want 2, got 3")
}
