package event

import "github.com/riverhook/riverhook/internal/eventtype"

// The types of events that an engine writes itself, as intents like any other, in
// the transaction that makes the change. Each is at the site of the subscription
// that it is about. Only subscriptions with Operator set receive them; if none can,
// nothing is written.
//
// What becomes of such an event leads to no other, except for the deactivation of a
// subscription: no delivery of one is announced as exhausted, and there is no
// warning of a window in which nothing else has failed.
const (
	// DeliveryExhausted is the type of the event that the schedule of a delivery is
	// exhausted; the data is a delivery.DeliveryEvent.
	DeliveryExhausted = eventtype.ReservedPrefix + "delivery.exhausted"

	// SubscriptionDeactivated is the type of the event that the engine has deactivated
	// a subscription; the data is a delivery.SubscriptionEvent.
	SubscriptionDeactivated = eventtype.ReservedPrefix + "subscription.deactivated"

	// SubscriptionFailing is the type of the event that a subscription will be
	// deactivated if it goes on failing; the data is a delivery.SubscriptionEvent.
	SubscriptionFailing = eventtype.ReservedPrefix + "subscription.failing"

	// SubscriptionRecovered is the type of the event of a success after a warning; the
	// data is a delivery.SubscriptionEvent.
	SubscriptionRecovered = eventtype.ReservedPrefix + "subscription.recovered"
)

// The kinds of the resources that these events are about. Their ids are those of the
// delivery and of the subscription.
const (
	DeliveryKind     = eventtype.ReservedPrefix + "delivery"
	SubscriptionKind = eventtype.ReservedPrefix + "subscription"
)

// The types of events that are sent outside of deliveries.
const (
	// Challenge is the type of the event as which an endpoint receives a POST that asks
	// it to prove that it wants requests.
	Challenge = eventtype.ReservedPrefix + "challenge"

	// Ping is the type of the event that Engine.Ping sends.
	Ping = eventtype.ReservedPrefix + "ping"
)
