package delivery_test

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery"
)

// All that a subscription has failed to take since yesterday, page by page.
func ExampleHistory_Deliveries() {
	failed := func(ctx context.Context, pool *pgxpool.Pool, subscription uuid.UUID) error {
		history, err := delivery.NewHistory(pool, nil)
		if err != nil {
			return err
		}
		filter := delivery.DeliveryFilter{
			Limit:          500,
			Since:          time.Now().Add(-24 * time.Hour),
			State:          delivery.DeliveryExhausted,
			SubscriptionID: subscription,
		}
		for {
			page, err := history.Deliveries(ctx, &filter)
			if err != nil {
				return err
			}
			for _, d := range page.Deliveries {
				fmt.Println(d.IntentID, d.EventType, d.LastOutcome, d.LastStatus)
			}
			if filter.Cursor = page.Next; page.Next == "" {
				return nil
			}
		}
	}
	_ = failed
}

// A support page: why somebody did not get an event.
func ExampleHistory_Explain() {
	explain := func(ctx context.Context, history *delivery.History, webhookID string) error {
		explanation, err := history.Explain(ctx, webhookID)
		if err != nil {
			return err
		}
		for _, s := range explanation.Subscriptions {
			fmt.Println(s.Name, s.Outcome, s.Why)
		}
		return nil
	}
	_ = explain
}

// An endpoint is back after days: it is tried, activated, and gets what it missed.
func ExampleEngine_Recover() {
	resume := func(ctx context.Context, engine *delivery.Engine, subscription uuid.UUID) (int, error) {
		attempt, _, err := engine.Ping(ctx, subscription, nil)
		if err != nil {
			return 0, err
		}
		if attempt.Outcome != delivery.OutcomeDelivered {
			return 0, fmt.Errorf("the endpoint does not answer yet: %s", attempt.Error)
		}
		if _, err := engine.Subscriptions().Activate(ctx, subscription, nil); err != nil {
			return 0, err
		}
		return engine.Recover(ctx, subscription, &delivery.RecoverOpts{Since: time.Now().Add(-7 * 24 * time.Hour)})
	}
	_ = resume
}
