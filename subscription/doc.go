// Package subscription keeps subscriptions: URLs that receive events.
//
// A [Subscription] is at one site (package hierarchy) and receives the events of resources
// at that site and below it. The [Store] creates, changes and lists subscriptions, and
// keeps their secrets and [Credentials], sealed. [Store.As] returns the store in the hands
// of one principal, who may do what an authorizer of the application allows.
//
// The package decides neither whether an owner may see a resource (package access) nor
// which subscriptions an event reaches (package hierarchy), and it makes no request
// (package delivery).
package subscription
