package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// sealingKey seals the signing secrets in every process of a run, as in production.
const sealingKey = "rhseal_dGhlIGtleSBvZiBhbGwgYmVuY2htYXJrcyBhbmQgcnU="

// newEngine makes an engine with the zero Config, but for what it takes to reach
// a receiver on this machine, as many subscriptions as it likes, a name, a logger
// that writes nothing, and a key.
func newEngine(pool *pgxpool.Pool, id string) (*delivery.Engine, error) {
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	if err != nil {
		return nil, err
	}
	keys, err := seal.ParseKeyset(sealingKey)
	if err != nil {
		return nil, err
	}
	return delivery.New(pool, &delivery.Config{
		Egress: policy,
		ID:     id,
		Logger: slog.New(slog.DiscardHandler),
		Sealer: keys,
		Limits: delivery.Limits{SubscriptionsPerSite: -1},
	})
}

// subscribe makes n subscriptions of the operator to one event type, all to the
// same URL. Nobody is asked whether an operator may see a resource.
func subscribe(ctx context.Context, subs *subscription.Store, eventType, url string, n int) error {
	for range n {
		_, err := subs.Create(ctx, subscription.Spec{
			Events:   []string{eventType},
			Operator: true,
			URL:      url,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// enqueueBatch is how many intents one EnqueueMany has, and how many jobs one
// InsertManyTx of what it is compared with.
const enqueueBatch = 100

// someIntents are n intents of types that follow each other in turn.
func someIntents(n int, types ...string) []outbox.Intent {
	intents := make([]outbox.Intent, n)
	for i := range intents {
		intents[i] = outbox.Intent{Type: types[i%len(types)], Data: payload}
	}
	return intents
}

// settled waits until no intent and no delivery is pending: all that happened is
// recorded and committed.
func settled(ctx context.Context, pool *pgxpool.Pool) error {
	for {
		var pending bool
		err := pool.QueryRow(ctx, `SELECT
			EXISTS (SELECT FROM riverhook.intent_state WHERE state = 'pending' AND due_at IS NOT NULL)
			OR EXISTS (SELECT FROM riverhook.delivery WHERE due_at IS NOT NULL)
			OR EXISTS (SELECT FROM riverhook.delivery WHERE hold <> '')
			OR EXISTS (SELECT FROM riverhook.intent_state s WHERE s.due_at IS NOT NULL
				AND (SELECT true FROM riverhook.delivery d WHERE d.intent_id = s.intent_id AND d.state = 'pending' LIMIT 1))`).Scan(&pending)
		if err != nil || !pending {
			return err
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("something is still pending: %w", err)
		}
	}
}
