package delivery

import (
	"fmt"
	"time"
)

// maxRecordTimeout keeps jobs that wait for a record below what a job can take.
const maxRecordTimeout = 15 * time.Minute

// Timeouts bound how long an engine waits.
type Timeouts struct {
	// Ask bounds the answers to a question, of all gates together, if Question.Timeout
	// does not. At least 1 ms. Default: 5 s.
	Ask time.Duration

	// Hook bounds one call of a hook. At least 1 ms. Default: 10 s.
	Hook time.Duration

	// MaxRequest bounds a request in total for every subscription, whatever it says:
	// MaxTimeout of Engine.Subscriptions, which refuses one that asks for more. For what is
	// stored already, the smaller of both is in force. At least Request and 1 s. Default:
	// 60 s, or Request if that is more.
	MaxRequest time.Duration

	// Record is how long an engine keeps the answer to a request while the database
	// cannot be written, as during a failover. An answer that cannot be recorded in that
	// time is lost, and its request is repeated. What is kept is bounded: while it waits,
	// nothing new is sent. From 1 s to 15 min. Default: 2 min.
	Record time.Duration

	// Request bounds a request in total, the answer's body included, for subscriptions
	// that name no timeout. At least 1 ms. Default: 20 s.
	Request time.Duration

	// Stop is how long Engine.Stop lets requests under way come to their end before it
	// interrupts them; its context may be shorter. Default: 30 s.
	Stop time.Duration
}

func (t *Timeouts) fill() {
	def(&t.Ask, 5*time.Second)
	def(&t.Hook, 10*time.Second)
	def(&t.Record, 2*time.Minute)
	def(&t.Request, 20*time.Second)
	def(&t.MaxRequest, max(time.Minute, t.Request))
	def(&t.Stop, 30*time.Second)
}

// problem says what is wrong with a field; "" if nothing is.
func (t *Timeouts) problem() string {
	switch {
	case t.Ask < time.Millisecond:
		return "Ask: " + tooShort(t.Ask)
	case t.Hook < time.Millisecond:
		return "Hook: " + tooShort(t.Hook)
	case t.Record < time.Second || t.Record > maxRecordTimeout:
		return "Record: must be 1 s to 15 min"
	case t.Request < time.Millisecond:
		return "Request: " + tooShort(t.Request)
	case t.MaxRequest < t.Request || t.MaxRequest < time.Second:
		return "MaxRequest: must be at least Request, and at least 1 s"
	case t.Stop < 0:
		return "Stop: must not be negative"
	default:
		return ""
	}
}

// tooShort says why a time is refused that stands for milliseconds or more: a bare number
// is one of nanoseconds.
func tooShort(d time.Duration) string { return fmt.Sprintf("is %s; must be at least 1 ms", d) }
