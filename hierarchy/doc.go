// Package hierarchy knows who is told of an event, and by which site.
//
// An application's tenants, departments and offices are sites, nodes of a tree
// that are named by a [Path]. A [Subscription] sits at one site and hears what
// happens to resources at that site and anywhere below it. [Sites] keeps the
// tree in tables and remembers former paths; [Paths] needs no table. The
// [Subscriptions] store keeps subscriptions and their secrets, and a [Resolver]
// finds, by index and for many intents at once, the subscriptions that apply.
//
// The package does not decide whether an owner may see a resource (package
// access), and makes no request (package delivery).
package hierarchy
