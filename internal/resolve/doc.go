// Package resolve finds the subscriptions that apply to intents, for hierarchy.Resolver and
// for the engine, which also needs to know by which sites they were found.
package resolve
