package event

import "github.com/riverhook/riverhook/internal/eventtype"

// CheckType says why s cannot be an event type.
//
// An event type has 2 to 8 segments of a-z, 0-9 and "_", joined by ".", and at
// most 128 characters: "user.created". Those that begin with "riverhook." are
// Riverhook's own: they pass here, and no application can enqueue or register them.
func CheckType(s string) error { return eventtype.CheckType(s) }

// CheckPattern says why s cannot be a pattern of event types.
//
// A pattern is written like an event type, except that a segment may be "*",
// which stands for exactly one segment, and that the last may be "**", which
// stands for one segment or more. "**" alone matches every type. A pattern that
// no event type can match, such as "user" or "*", is refused.
//
// After "before:" it matches the types of questions, and no events, as the
// patterns without it match no questions: "before:user.delete", "before:**". Since
// the name of a question may have one segment, so may such a pattern.
func CheckPattern(s string) error { return eventtype.CheckPattern(s) }

// MatchPattern says whether a pattern matches the type of an event or of a
// question. It knows nothing of the types that a type extends: hierarchy.Resolver does.
func MatchPattern(pattern, eventType string) bool { return eventtype.MatchPattern(pattern, eventType) }
