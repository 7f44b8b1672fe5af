package delivery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// keeping is an engine that keeps no more than rules say.
func (b *bundle) keeping(rules delivery.HistoryRules) *delivery.Engine {
	b.t.Helper()
	return b.engine(func(cfg *delivery.Config) { cfg.History = rules })
}

func (b *bundle) prune(engine *delivery.Engine) delivery.Pruned {
	b.t.Helper()
	pruned, err := engine.Prune(b.t.Context())
	require.NoError(b.t, err)
	return *pruned
}

// kept returns the wire ids of the deliveries that are left, oldest first.
func (b *bundle) kept(of uuid.UUID) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT i.wire_id FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE d.subscription_id = $1 ORDER BY d.id`, of)
	require.NoError(b.t, err)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return ids
}

func TestPrune_TheNewestEndedDeliveriesOfASubscriptionAreKept(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	engine := b.keeping(delivery.HistoryRules{PerSubscription: 2})
	busy := b.subscribe(receiver, nil)
	quiet := b.subscribe(receiver, func(s *subscription.Spec) { s.Events = []string{"office.closed"} })
	for _, id := range []string{"pending", "expanding", "old", "older", "new", "newest"} {
		b.enqueue(func(in *outbox.Intent) { in.ID = id })
		b.drain(engine)
	}
	b.enqueue(func(in *outbox.Intent) { in.ID, in.Type = "closed", "office.closed" })
	b.drain(engine)
	b.exec(`UPDATE riverhook.delivery d SET state = 'pending', due_at = now() + interval '1 h' FROM riverhook.intent i
		WHERE i.id = d.intent_id AND i.wire_id IN ('pending', 'newest')`)
	b.exec(`UPDATE riverhook.intent_state s SET state = 'pending', due_at = now() + interval '1 h' FROM riverhook.intent i
		WHERE i.id = s.intent_id AND i.wire_id = 'expanding'`)

	pruned := b.prune(engine)

	require.Equal(t, delivery.Pruned{Deliveries: 2}, pruned)
	require.Equal(t, []string{"pending", "expanding", "new", "newest", "closed"}, b.kept(busy.ID))
	require.Equal(t, []string{"closed"}, b.kept(quiet.ID))
	require.Equal(t, 6, b.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Zero(t, b.prune(engine))

	b.exec(`UPDATE riverhook.intent_state SET state = 'expanded'`)
	require.Equal(t, 1, b.prune(engine).Deliveries)
	require.Equal(t, []string{"pending", "new", "newest", "closed"}, b.kept(busy.ID))
}

func TestPrune_WhatEndedLongAgoGoesAndItsIDIsRemembered(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.subscribe(receiver, func(s *subscription.Spec) { s.Owner = "mallory" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{"owner": nil})
		cfg.History = delivery.HistoryRules{
			MaxAge:       time.Hour,
			DedupeWindow: 10 * time.Hour,
			Payloads:     event.KeepHash,
			PayloadAge:   3 * time.Hour,
		}
	})
	id := b.enqueue(func(in *outbox.Intent) { in.ID, in.Attributes = "old", map[string]string{"ip": "192.0.2.1"} })
	b.drain(engine)
	require.Zero(t, b.prune(engine), "nothing is an hour old")

	b.age("old", 2*time.Hour)
	require.Equal(t, delivery.Pruned{
		Deliveries: 1,
		Decisions:  1,
		Payloads:   1,
	}, b.prune(engine))
	for _, table := range []string{"delivery", "attempt", "decision", "message"} {
		require.Zero(t, b.count(`SELECT count(*) FROM riverhook.`+table), table)
	}
	in, err := engine.History().Intent(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, delivery.PayloadPruned, in.Payload)
	require.Nil(t, in.Data)
	require.Empty(t, in.Attributes)
	require.Equal(t, "user.created", in.Type)
	_, err = engine.RetryFailed(t.Context(), id)
	require.ErrorIs(t, err, delivery.ErrPruned)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		res, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{
			ID:       "old",
			Type:     "user.created",
			Site:     "/noaa/nws/oun",
			Resource: access.Resource{Kind: "user", ID: "ada"},
			Data:     map[string]string{"name": "Ada"},
		})
		require.True(t, res.Duplicate)
		return err
	}))
	b.pass(3 * time.Hour)
	require.Zero(t, b.prune(engine), "nothing is left to be reduced")

	b.age("old", 9*time.Hour)
	require.Equal(t, delivery.Pruned{Intents: 1}, b.prune(engine))
	_, err = engine.History().Intent(t.Context(), id)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent_state`))
}

func TestPrune_WhatIsPendingNeverGoes(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, func(s *subscription.Spec) { s.Paused = true })
	waiting := b.subscribe(receiver, func(s *subscription.Spec) { s.Owner = "newcomer" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{"owner": nil, "newcomer": errors.New("the directory is down")})
		cfg.History = delivery.HistoryRules{
			MaxAge:          time.Hour,
			DedupeWindow:    time.Hour,
			PerSubscription: 1,
		}
		cfg.Maintenance.MaxHold = 1000 * time.Hour
	})
	held, half := b.enqueue(nil), b.enqueue(nil)
	b.drain(engine)
	unexpanded := b.enqueue(nil)
	b.exec(`UPDATE riverhook.intent_state s SET state = 'pending' FROM riverhook.intent i WHERE i.id = s.intent_id AND i.wire_id = $1`, half)
	for _, id := range []string{held, half, unexpanded} {
		b.age(id, 100*time.Hour)
	}

	require.Zero(t, b.prune(engine))

	require.Equal(t, "pending", b.deliveries(held)[0].State)
	require.Equal(t, "waiting", b.decisions(held)[waiting.ID][0])
	in, err := engine.History().Intent(t.Context(), held)
	require.NoError(t, err)
	require.NotNil(t, in.Data)
}

func TestPrune_GoesInStepsUntilNothingIsLeft(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	for range 60 {
		b.subscribe(receiver, nil)
	}
	b.exec(`INSERT INTO riverhook.intent (id, wire_id, type, site, share, digest, data, occurred_at, created_at)
			SELECT (lpad(to_hex(i), 12, '0') || '70008000000000000000')::uuid, 'w' || i, 'user.created', '/', '/', '', '{}', now(), '2020-01-01'
			FROM generate_series(1, 1200) i`)
	b.exec(`INSERT INTO riverhook.intent_state (intent_id, state, job_id, due_at) SELECT id, 'expanded', 0, now() FROM riverhook.intent`)
	b.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, state, ended_at)
			SELECT i.id, i.id, (SELECT s.id FROM riverhook.subscription s ORDER BY s.id DESC LIMIT 1), 'plain', '/', 1, 'delivered', now()
			FROM riverhook.intent i`)
	b.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, decided_at)
			SELECT i.id, (SELECT s.id FROM riverhook.subscription s ORDER BY s.id LIMIT 1), 'denied', '/', '2020-01-01'
			FROM riverhook.intent i`)

	pruned := b.prune(b.keeping(delivery.HistoryRules{PerSubscription: 5}))
	require.Equal(t, delivery.Pruned{
		Deliveries: 1195,
		Decisions:  1200,
		Intents:    1195,
	}, pruned)
	b.exec(`UPDATE riverhook.delivery SET ended_at = '2020-01-01'`)
	require.Equal(t, delivery.Pruned{Deliveries: 5, Intents: 5}, b.prune(b.engine(nil)))
}

func TestPrune_TheCountsOfPastEpochsGo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Status: 500}
	}})
	engine := b.engine(nil)
	current := b.subscribe(receiver, func(s *subscription.Spec) { s.Schedule = "none" })
	past := b.subscribe(receiver, func(s *subscription.Spec) { s.Schedule = "none" })
	b.enqueue(nil)
	b.drain(engine)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
	b.exec(`UPDATE riverhook.subscription SET epoch = 2 WHERE id = $1`, past.ID)

	b.prune(engine)

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription_health WHERE subscription_id = $1`, current.ID))
}

func TestPrune_WhatAnotherProcessPrunesIsLeftToIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	engine := b.keeping(delivery.HistoryRules{MaxAge: time.Nanosecond})
	b.enqueue(nil)
	b.drain(engine)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended('riverhook prune riverhook', 0))`)
	require.NoError(t, err)

	require.Zero(t, b.prune(engine))
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 1, b.prune(engine).Deliveries)
}

func TestPrune_IsDoneByAStartedEngine(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	rules := delivery.HistoryRules{MaxAge: time.Nanosecond}
	b.enqueue(nil)
	b.drain(b.keeping(rules))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.delivery`))

	b.start(b.keeping(rules))

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery`) == 0 })
}

// age makes an intent and what became of it older by d: their times, and the
// times in their ids.
func (b *bundle) age(id string, d time.Duration) {
	b.t.Helper()
	const (
		older = `($2::bigint * interval '1 ms')`
		of    = ` = (SELECT i.id FROM riverhook.intent i WHERE i.wire_id = $1)`
	)
	olderID := func(column string) string {
		hex := `replace(` + column + `::text, '-', '')`
		return `(lpad(to_hex(('x' || left(` + hex + `, 12))::bit(48)::bigint - $2::bigint), 12, '0') || substr(` + hex + `, 13))::uuid`
	}
	for _, statement := range []string{
		`UPDATE riverhook.attempt SET delivery_id = ` + olderID("delivery_id") +
			` WHERE delivery_id IN (SELECT d.id FROM riverhook.delivery d WHERE d.intent_id` + of + `)`,
		`UPDATE riverhook.delivery SET id = ` + olderID("id") + `, intent_id = ` + olderID("intent_id") + `,
			created_at = created_at - ` + older + `, ended_at = ended_at - ` + older + ` WHERE intent_id` + of,
		`UPDATE riverhook.decision SET intent_id = ` + olderID("intent_id") + `, decided_at = decided_at - ` + older + ` WHERE intent_id` + of,
		`UPDATE riverhook.message SET intent_id = ` + olderID("intent_id") + `, created_at = created_at - ` + older + ` WHERE intent_id` + of,
		`UPDATE riverhook.intent_state SET intent_id = ` + olderID("intent_id") + `, ended_at = ended_at - ` + older + ` WHERE intent_id` + of,
		`UPDATE riverhook.intent SET id = ` + olderID("id") + `, created_at = created_at - ` + older + ` WHERE wire_id = $1`,
	} {
		b.exec(statement, id, d.Milliseconds())
	}
}
