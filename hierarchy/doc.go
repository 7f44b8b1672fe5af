// Package hierarchy says which subscriptions receive an event, and through which site.
//
// An application's tenants, departments and offices are sites, nodes of a tree
// that are named by a [Path]. A subscription is at one site and receives the events of
// resources at that site and anywhere below it. [Sites] keeps the tree in tables and
// remembers former paths; [Paths] needs no table. A [Resolver] finds, by index and for
// many intents at once, the subscriptions that apply.
//
// The package does not keep subscriptions (package subscription), does not decide
// whether an owner may see a resource (package access), and makes no request (package
// delivery).
package hierarchy
