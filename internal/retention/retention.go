// Package retention has the words for what is kept of a body, which package outbox says of
// an event type, package delivery of an engine, and the database of an intent.
package retention

// Keep says what is kept of a body.
type Keep string

// What can be kept of a body.
const (
	KeepBody    Keep = "body"    // all of it
	KeepHash    Keep = "hash"    // its SHA-256, which still tells whether a body that somebody has is the one
	KeepNothing Keep = "nothing" // neither
)

// Valid is true of the three.
func Valid(k Keep) bool { return k == KeepBody || k == KeepHash || k == KeepNothing }

// Stored is the rule for payloads as an intent in the database has it: "" keeps all.
func Stored(k Keep) string {
	if k == KeepBody {
		return ""
	}
	return string(k)
}
