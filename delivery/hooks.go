package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Hooks are called by the engine's maintenance, one at a time, without a
// transaction; a hook that panics is logged. They are called once;
// where the engine ends between the change and its call, a hook is not called:
// what has happened is in the subscription's state.
type Hooks struct {
	// SubscriptionDeactivated is called after the engine has deactivated a
	// subscription.
	SubscriptionDeactivated func(ctx context.Context, ev SubscriptionEvent)

	// SubscriptionFailing is called once in each window of failures, when
	// half the time that leads to a deactivation has passed.
	SubscriptionFailing func(ctx context.Context, ev SubscriptionEvent)
}

// SubscriptionEvent tells a hook what happened to a subscription.
type SubscriptionEvent struct {
	SubscriptionID uuid.UUID
	Reason         string
	FailingSince   time.Time // zero when the reason is not a window of failures
	FailedAttempts int       // in that window
}
