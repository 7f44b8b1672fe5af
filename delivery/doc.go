// Package delivery is the engine: after the commit it turns intents into
// delivered webhooks, and keeps the record of what happened.
//
//	engine, err := delivery.New(pool, &delivery.Config{
//		Access: delivery.AccessConfig{Registry: checkers},
//		Sealer: keys,
//	})
//	...
//	err = engine.Start(ctx)
//	defer engine.Stop(context.WithoutCancel(ctx))
//
// An expand job of River finds the subscriptions that apply to an intent, asks
// whether each owner may see the resource, makes one message for each dialect,
// commits the deliveries and makes their first attempts. Later attempts are jobs
// of their own, by the subscription's schedule.
//
// # The promise
//
// A committed intent is expanded once, to every subscription in force, or is
// visibly failed and can be run again. Every delivery goes on until it is
// delivered, exhausted, cancelled with a reason or expired, and each end is
// recorded with every attempt. A delivery can arrive twice, with the same
// webhook-id, when an engine ends between the answer and its record. No order is
// promised. Nothing is sent to an owner who may not see the resource, nor while
// that cannot be decided; a revocation can race a request by at most
// Config.Access.MaxAge.
//
// # Host code that ends its process
//
// Checkers, externalizers, dialects, the tree and the Sealer can end the process that
// calls them, by a fatal error or by too much memory. When a process has ended, what
// it had under way is done by another one, which calls one piece of host code at a time for that,
// while no other job of the engine is in host code. A step that has ended three processes so,
// without progress, is not called again: the intent or the decision is failed, or
// the delivery cancelled, with the reason "process ended three times in" and the step. RetryFailed and
// Redeliver try it again. A process that is killed during a request, and an engine
// that is stopped, do not count.
//
// # What to call
//
// [Engine.Ask] asks, before something is done, those who may veto it.
// [Engine.Subscriptions] is the store of subscriptions, [Engine.History] lists
// what happened, [Handle.Explain] says why somebody was told or not,
// [Handle.Redeliver], [Handle.Recover] and [Engine.RetryFailed] make good what
// went wrong. Package deliverytest has a receiver for tests, and runs what is due
// without a running engine.
package delivery
