// Package pginbox is the inbox of package receiver in Postgres: what was accepted is
// processed, also after a crash, and what a Func writes in its transaction takes
// effect exactly once.
//
// Add stores the event and the River job that processes it in one transaction, in the
// schema of Riverhook, which outbox.Migrate makes. An [Inbox] that was started works
// these jobs, in as many processes as there are; one that was not only stores.
//
// # Exactly once
//
// A Func made by [InTx] is given a transaction. In it the event is marked as done
// behind the Func's return, and then it is committed: both are true, or neither is. A
// run that was overtaken, because its process was taken for dead, or whose event was
// deleted meanwhile finds the event's attempt changed, and is rolled back. What a Func does
// elsewhere, such as a request, can happen more than once.
//
// # When a process dies
//
// A running Inbox writes a heartbeat every 3 s. When one has had none for 15 s the others, and
// delivery engines too, hand its jobs to the living. The attempt that was under way counts as
// one. An event whose first attempt was to be made within a request is taken up after the
// Timeout of its receiver and 15 s. A job that was lost is made anew, and one that a wrong clock has
// put off begins when its event is due.
//
// # Clocks and isolation
//
// The database's clock decides what is due. The database's default isolation may be any: the
// transaction of [InTx] has it, and what else the Inbox does is READ COMMITTED where that
// matters. What receiver.Report says is written apart from the event, so that it stands in no
// transaction's way.
//
// # River
//
// The Inbox owns its River client, with the queue "inbox" in the schema that delivery engines
// have theirs in. Each of the two knows only its own kinds of jobs, which is safe because a
// client fetches from its own queues only, has no periodic jobs, and never rescues: River's
// rescuer, which runs at one leader for all queues, discards stuck jobs of a kind that the
// leader does not know, so both turn it off and have the heartbeats in its place. What else a
// leader does (promote scheduled jobs, delete completed ones) does not ask for kinds. The
// application's own River belongs in another schema.
package pginbox
