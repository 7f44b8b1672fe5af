// Package outbox is the write side of Riverhook: it puts webhook intents into
// the transaction that changes the application's data.
//
//	tx, err := pool.Begin(ctx)
//	...
//	_, err = outbox.Enqueue(ctx, tx, outbox.Intent{
//		Type:     "user.created",
//		Site:     "/noaa/nws/oun",
//		Resource: access.Resource{Kind: "user", ID: "42"},
//		Data:     user,
//	})
//	...
//	err = tx.Commit(ctx)
//
// An intent in a transaction that commits is expanded once, to every
// subscription in force at that time, or it is visibly failed and can be run
// again. An intent in a transaction that rolls back leaves nothing: no row, no
// job, no request. What happens after the commit is the business of package
// delivery, which usually runs in other processes; the two meet in the database.
//
// The database needs the schema that [Migrate] makes. A role that may only
// enqueue needs USAGE on the schema and EXECUTE on its functions enqueue_one and
// enqueue_batch.
// Triggers and programs in other languages call the SQL function enqueue: see
// docs/enqueue.md.
//
// Types of events may be registered, with JSON Schemas of their data: [EventTypes].
// A Client with Config.Pool refuses what is not as they say.
//
// This package does not own the transaction: it never commits, rolls back or
// opens a savepoint. It holds no connection, but for a read of the registered types
// at most every 5 s where Config.Pool is given, and starts no goroutine. It decides
// nothing about who is told, and makes no requests.
package outbox
