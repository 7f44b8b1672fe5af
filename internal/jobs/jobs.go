// Package jobs has the arguments of Riverhook's River jobs. They carry ids
// only: what they lead to is in our own tables.
package jobs

import (
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// The queues of our River schema.
const (
	QueueExpand  = "expand"  // new intents and their first attempts
	QueueChunk   = "chunk"   // the rest of large fan-outs, and decisions that wait
	QueueDeliver = "deliver" // later attempts
	QueueInbox   = "inbox"   // events that came to a receiver
)

// MaxAttempts is the number of times that River may run one of our jobs. It is
// far above what any schedule of ours needs, so that a rescue never discards a
// job: our own rows decide when something ends.
const MaxAttempts = 1000

// How a River job of ours is due. The first is also in the SQL function job, which
// writes its row; the others are for the statements that look for lost ones.
const (
	// Soon is how early a job is there for River to fetch: what is due later waits for
	// River's scheduler, which looks as often.
	Soon = 5 * time.Second

	// LateAfter is how long after its time a job may still wait for River's scheduler,
	// which a River without a leader does not run.
	LateAfter = 15 * time.Second

	// EarlyBy is by how much the time of a job may be later than that of what it
	// carries. A greater difference is that of a clock that was wrong.
	EarlyBy = 2 * time.Minute
)

// Expand works out who must be told of an intent, and makes the first attempts.
type Expand struct {
	IntentID uuid.UUID `json:"intent_id"`
}

// Kind implements river.JobArgs.
func (Expand) Kind() string { return "riverhook_expand" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (Expand) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: MaxAttempts, Queue: QueueExpand}
}

// Chunk goes on with a large fan-out, behind the subscription AfterID.
type Chunk struct {
	IntentID uuid.UUID `json:"intent_id"`
	AfterID  uuid.UUID `json:"after_id"`
}

// Kind implements river.JobArgs.
func (Chunk) Kind() string { return "riverhook_chunk" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (Chunk) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: MaxAttempts, Queue: QueueChunk}
}

// Decide tries again what could not be decided for some subscriptions of an
// intent: a checker or an externalizer failed, or is missing in a process.
type Decide struct {
	IntentID uuid.UUID `json:"intent_id"`
}

// Kind implements river.JobArgs.
func (Decide) Kind() string { return "riverhook_decide" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (Decide) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: MaxAttempts, Queue: QueueChunk}
}

// Deliver makes a later attempt of a delivery.
type Deliver struct {
	DeliveryID uuid.UUID `json:"delivery_id"`
}

// Kind implements river.JobArgs.
func (Deliver) Kind() string { return "riverhook_deliver" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (Deliver) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: MaxAttempts, Queue: QueueDeliver}
}

// Receive processes an event that came to a receiver.
type Receive struct {
	EventID uuid.UUID `json:"event_id"`
}

// Kind implements river.JobArgs.
func (Receive) Kind() string { return "riverhook_receive" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (Receive) InsertOpts() river.InsertOpts {
	return river.InsertOpts{MaxAttempts: MaxAttempts, Queue: QueueInbox}
}
