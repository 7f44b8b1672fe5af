package delivery_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// eventTypes registers types, and lets the bundle enqueue by what is registered.
func (b *bundle) eventTypes(types ...outbox.EventType) *outbox.EventTypes {
	b.t.Helper()
	var err error
	b.outbox, err = outbox.New(&outbox.Config{Pool: b.pool})
	require.NoError(b.t, err)
	store, err := b.outbox.EventTypes()
	require.NoError(b.t, err)
	require.NoError(b.t, store.Register(b.t.Context(), types...))
	return store
}

func TestPayloads_ATypeIsRegisteredWithWhatIsKeptOfThem(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	b.eventTypes(
		outbox.EventType{Name: "user.created", Payloads: event.KeepBody},
		outbox.EventType{
			Name:     "user.updated",
			Payloads: event.KeepNothing,
			Extends:  []string{"user.changed"},
		},
		outbox.EventType{Name: "user.deleted", Payloads: event.KeepNothing},
		outbox.EventType{Name: "user.moved", Extends: []string{"user.updated"}},
		outbox.EventType{Name: "office.opened", Payloads: event.KeepNothing},
	)
	engine := b.keeping(delivery.HistoryRules{
		Payloads: event.KeepHash,
		Types: []delivery.TypeRule{
			{Pattern: "user.deleted", Payloads: event.KeepBody},
			{Pattern: "office.*", Answers: event.KeepNothing},
		},
	})
	want := map[string]delivery.PayloadState{}
	for eventType, state := range map[string]delivery.PayloadState{
		"user.created":  delivery.PayloadKept,    // as the type is registered, not as the engine keeps others
		"user.updated":  delivery.PayloadDropped, // so too
		"user.deleted":  delivery.PayloadKept,    // the engine has a rule for the type
		"user.moved":    delivery.PayloadHashed,  // umbrella types lend it nothing
		"office.opened": delivery.PayloadDropped, // the engine's rule says nothing of payloads
		"office.closed": delivery.PayloadHashed,  // it is not registered
	} {
		want[b.enqueue(func(in *outbox.Intent) { in.Type = eventType })] = state
	}
	b.drain(engine)

	require.Equal(t, delivery.Pruned{Reduced: 4}, b.prune(engine))

	for id, state := range want {
		in, err := b.reader().Intent(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, state, in.Payload, in.Type)
	}
}

func TestPayloads_AreKeptWholeForTheAgeThatIsSaid(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	b.eventTypes(
		outbox.EventType{
			Name:       "user.created",
			Payloads:   event.KeepHash,
			PayloadAge: 3 * time.Hour,
		},
		outbox.EventType{
			Name:       "user.deleted",
			Payloads:   event.KeepNothing,
			PayloadAge: 3 * time.Hour,
		},
		outbox.EventType{Name: "user.moved", Payloads: event.KeepHash},
	)
	engine := b.keeping(delivery.HistoryRules{
		Payloads:   event.KeepHash,
		PayloadAge: time.Hour,
		Types: []delivery.TypeRule{{
			Pattern:    "user.deleted",
			Payloads:   event.KeepNothing,
			PayloadAge: 2 * time.Hour,
		}},
	})
	byHours := map[int]string{}
	for hours, eventType := range map[int]string{
		0: "user.moved",   // its own rule, which has no age
		1: "user.other",   // the engine's
		2: "user.deleted", // the engine's for the type
		3: "user.created", // its own
	} {
		byHours[hours] = b.enqueue(func(in *outbox.Intent) { in.Type = eventType })
	}
	b.drain(engine)
	pruner := b.engine(nil)
	for hour := range len(byHours) {
		for later := hour; later < len(byHours); later++ {
			require.NoError(t, engine.Redeliver(t.Context(), b.deliveries(byHours[later])[0].ID))
		}
		b.drain(engine)
		require.Equal(t, delivery.Pruned{Reduced: 1}, b.prune(pruner), "after %d hours", hour)
		require.Zero(t, b.prune(pruner))
		in, err := b.reader().Intent(t.Context(), byHours[hour])
		require.NoError(t, err)
		require.NotEqual(t, delivery.PayloadKept, in.Payload)
		require.ErrorIs(t, engine.Redeliver(t.Context(), b.deliveries(in.ID)[0].ID), delivery.ErrPayloadGone)
		b.pass(time.Hour)
	}
}

func TestExternalizer_SeesTheSchemaVersionThatTheHistoryShows(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	b.eventTypes(outbox.EventType{Name: "user.created", Schemas: []outbox.EventSchema{
		{Version: 1, Schema: json.RawMessage(`{"required": ["name"]}`)},
		{Version: 2, Schema: json.RawMessage(`{"required": ["given_name"]}`)},
	}})
	seen := make(chan dialect.Event, 1)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalize(t, "", func(_ context.Context, ev dialect.Event) ([]byte, error) {
			seen <- ev
			return ev.Data, nil
		})
	})
	for version, change := range map[int]func(in *outbox.Intent){
		1: func(in *outbox.Intent) { in.SchemaVersion = 1 },
		2: func(in *outbox.Intent) { in.Data = map[string]string{"given_name": "Ada"} },
		0: func(in *outbox.Intent) { in.Type = "user.other" },
	} {
		id := b.enqueue(change)
		b.drain(engine)

		require.Equal(t, version, (<-seen).SchemaVersion)
		in, err := b.reader().Intent(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, version, in.SchemaVersion)
		list, err := intentsOf(b.reader().Intents(t.Context(), &delivery.IntentFilter{Limit: 1}))
		require.NoError(t, err)
		require.Equal(t, version, list[0].SchemaVersion)
		text, err := json.Marshal(in)
		require.NoError(t, err)
		var shown struct {
			SchemaVersion int `json:"schema_version"`
		}
		require.NoError(t, json.Unmarshal(text, &shown))
		require.Equal(t, version, shown.SchemaVersion)
	}
}

func TestEngine_DeliversWhatWasEnqueuedBeforeItsTypeWasArchived(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 500})
	b.subscribe(receiver, func(s *subscription.Spec) { s.Schedule = "twice" })
	types := b.eventTypes(outbox.EventType{Name: "user.created"})
	committed := b.enqueue(nil)
	engine := b.engine(nil)
	b.drain(engine) // one attempt, which failed
	open, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer open.Rollback(context.WithoutCancel(t.Context()))
	enqueue := func(tx pgx.Tx) (outbox.Result, error) {
		return b.outbox.Enqueue(t.Context(), tx, outbox.Intent{Type: "user.created", Resource: access.Resource{Kind: "user", ID: "bob"}})
	}
	late, err := enqueue(open)
	require.NoError(t, err)

	require.NoError(t, types.Archive(t.Context(), "user.created"))

	_, err = enqueue(open)
	require.ErrorIs(t, err, outbox.ErrInvalidIntent)
	require.NoError(t, open.Commit(t.Context()))
	b.drain(engine)
	b.drainAhead(engine, 2*time.Hour)
	for _, id := range []string{committed, late.ID} {
		row := b.deliveries(id)[0]
		require.Equal(t, "delivered", row.State, id)
		require.NoError(t, engine.Redeliver(t.Context(), row.ID))
		in, err := b.reader().Intent(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, "user.created", in.Type)
	}
	b.drain(engine)
	require.Len(t, receiver.Requests(), 5, "500, two deliveries, and each once more")
}

func TestPayloads_WhatCannotBeReducedYetKeepsNothingElseWaiting(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.exec(`WITH i AS (
			INSERT INTO riverhook.intent (id, wire_id, type, site, share, data, occurred_at)
			SELECT gen_random_uuid(), n::text, 'a.b', '/', '/', '1', now() FROM generate_series(1, 1200) n RETURNING id, wire_id)
		INSERT INTO riverhook.intent_state (intent_id, job_id, state, keep, keep_at)
		SELECT id, 0, CASE WHEN wire_id::integer <= 600 THEN 'failed' ELSE 'expanded' END, 'hash',
			now() - make_interval(hours => CASE WHEN wire_id::integer <= 600 THEN 2 ELSE 1 END) FROM i`)
	engine := b.engine(nil)
	require.Equal(t, delivery.Pruned{Reduced: 600}, b.prune(engine))
	require.Zero(t, b.prune(engine))
}

func TestPayloads_WhatIsErasedIsNotReducedLater(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	b.eventTypes(outbox.EventType{
		Name:       "user.created",
		Payloads:   event.KeepHash,
		PayloadAge: time.Hour,
	})
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := outbox.Erase(t.Context(), tx, access.Resource{Kind: "user", ID: "ada"})
		return err
	}))
	b.pass(time.Hour)
	require.Zero(t, b.prune(engine))
	in, err := b.reader().Intent(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, delivery.PayloadErased, in.Payload)
}
