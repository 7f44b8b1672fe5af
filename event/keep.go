package event

// Keep says what is kept of a body: of the data of an event and the messages that are made
// of it, or of the answers to them. A type that is registered (outbox.EventType) and the
// rules of an engine (delivery.HistoryRules) have it.
type Keep string

// What can be kept of a body.
const (
	KeepBody    Keep = "body"    // all of it
	KeepHash    Keep = "hash"    // its SHA-256, which still tells whether a body that somebody has is the one
	KeepNothing Keep = "nothing" // neither
)
