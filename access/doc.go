// Package access asks the application whether a principal may see a resource,
// before that resource is sent to a webhook subscription of that principal; and
// what a principal may do with subscriptions.
//
// The application implements [Checker] for each kind of resource and registers
// it in a [Registry]. Riverhook asks the registry when an intent is expanded,
// and again before an attempt whose last answer is older than 30 seconds.
//
// The application implements [Authorizer], or takes [SiteManagers], and gives it to
// what acts for its users: subscription.Store.As and delivery.Engine.As.
//
// Everything fails closed. No registry, no checker for a kind, an answer that
// is late, missing or a panic: nothing is sent, and because none of these is a
// decision, the question is asked again. Only nil allows; only [ErrDenied] and
// [ErrUnknownPrincipal] are final. An authorizer that is not there denies.
//
// This package does not own principals, permissions or policy, and keeps no
// answer: caching is the business of the checker, which knows when an answer
// grows stale. It depends on the standard library only.
package access
