package delivery

import "github.com/riverhook/riverhook/delivery/internal/record"

// The types of events that the engine writes itself, as intents like any other, in
// the transaction that makes the change. Each is at the site of the subscription
// that it is about. Only subscriptions with Operator set receive them; if none can,
// nothing is written.
//
// What becomes of such an event leads to no other, except for the deactivation of a
// subscription: no delivery of one is announced as exhausted, and there is no
// warning of a window in which nothing else has failed.
const (
	// DeliveryExhaustedEventType, "riverhook.delivery.exhausted", is that of a delivery whose schedule is exhausted;
	// the data is a [DeliveryEvent].
	DeliveryExhaustedEventType = record.DeliveryExhausted

	// SubscriptionDeactivatedEventType, "riverhook.subscription.deactivated", is that of a subscription that the engine has
	// deactivated; the data is a [SubscriptionEvent].
	SubscriptionDeactivatedEventType = record.SubscriptionDeactivated

	// SubscriptionFailingEventType, "riverhook.subscription.failing", is that of a subscription that will be deactivated
	// if it goes on failing; the data is a [SubscriptionEvent].
	SubscriptionFailingEventType = record.SubscriptionFailing

	// SubscriptionRecoveredEventType, "riverhook.subscription.recovered", is that of a success after a warning; the data is
	// a [SubscriptionEvent].
	SubscriptionRecoveredEventType = record.SubscriptionRecovered
)

// The kinds of resources that these events are about; their ids are those of the
// delivery and of the subscription.
const (
	DeliveryResourceKind     = record.DeliveryKind
	SubscriptionResourceKind = record.SubscriptionKind
)
