package delivery

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Hooks are called by the engine's maintenance, one at a time, while it holds no
// connection. The context of a call ends after Config.HookTimeout, and the engine
// then goes on without it. A hook that panics or is late is logged. They are
// called once;
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
