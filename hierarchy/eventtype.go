package hierarchy

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxEventTypeBytes = 128
	minTypeSegments   = 2
	maxTypeSegments   = 8

	anySegment = "*"
	anyRest    = "**"
)

// CheckEventType says why s cannot be an event type.
//
// An event type has 2 to 8 segments of a-z, 0-9 and "_", joined by ".", and at
// most 128 characters: "user.created".
func CheckEventType(s string) error {
	if len(s) > maxEventTypeBytes {
		return fmt.Errorf("event type %s: has %d characters; at most %d are allowed", quoted(s), len(s), maxEventTypeBytes)
	}
	segments := strings.Split(s, ".")
	if len(segments) < minTypeSegments || len(segments) > maxTypeSegments {
		return fmt.Errorf("event type %s: must have %d to %d segments joined by \".\"", quoted(s), minTypeSegments, maxTypeSegments)
	}
	for i, segment := range segments {
		if err := checkTypeSegment(segment); err != nil {
			return fmt.Errorf("event type %s: segment %d: %w", quoted(s), i+1, err)
		}
	}
	return nil
}

// CheckPattern says why s cannot be a pattern of event types.
//
// A pattern is written like an event type, except that a segment may be "*",
// which stands for exactly one segment, and that the last may be "**", which
// stands for one segment or more. "**" alone matches every type. A pattern that
// no event type can match, such as "user" or "*", is refused.
func CheckPattern(s string) error {
	fail := func(err error) error { return fmt.Errorf("pattern %s: %w", quoted(s), err) }
	if s == anyRest {
		return nil
	}
	shortest := strings.TrimSuffix(s, anySegment)
	if !strings.HasSuffix(s, "."+anyRest) {
		shortest = s
	}
	if len(shortest) > maxEventTypeBytes {
		return fail(fmt.Errorf("matches no event type: they have at most %d characters", maxEventTypeBytes))
	}
	segments := strings.Split(s, ".")
	if len(segments) < minTypeSegments || len(segments) > maxTypeSegments {
		return fail(fmt.Errorf(`matches no event type: they have %d to %d segments; "**" matches all`, minTypeSegments, maxTypeSegments))
	}
	for i, segment := range segments {
		switch {
		case segment == anySegment, segment == anyRest && i == len(segments)-1:
		case segment == anyRest:
			return fail(fmt.Errorf(`segment %d: "**" is allowed as the last segment only`, i+1))
		default:
			if err := checkTypeSegment(segment); err != nil {
				return fail(fmt.Errorf("segment %d: %w", i+1, err))
			}
		}
	}
	return nil
}

// MatchPattern says whether a pattern matches an event type. It knows nothing
// of the types that a type extends: the [Resolver] does.
func MatchPattern(pattern, eventType string) bool {
	for {
		if pattern == anyRest {
			return eventType != ""
		}
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		have, typeRest, typeMore := strings.Cut(eventType, ".")
		if want != have && (want != anySegment || have == "") || patternMore != typeMore {
			return false
		}
		if !patternMore {
			return true
		}
		pattern, eventType = patternRest, typeRest
	}
}

// Patterns returns all patterns that match an event type, itself among them:
// what a subscription must hold one of to hear it. A type of n segments has
// 2^(n+1)-1 of them, 7 for "user.created". They are in no particular order.
func Patterns(eventType string) []string {
	segments := strings.Split(eventType, ".")
	patterns := make([]string, 0, 2<<len(segments))
	prefixes := []string{""}
	for i, segment := range segments {
		var longer []string
		for _, prefix := range prefixes {
			patterns = append(patterns, prefix+anyRest)
			if i == len(segments)-1 {
				patterns = append(patterns, prefix+segment, prefix+anySegment)
				continue
			}
			longer = append(longer, prefix+segment+".", prefix+anySegment+".")
		}
		prefixes = longer
	}
	return patterns
}

func checkTypeSegment(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return fmt.Errorf(`holds %q; only a-z, 0-9 and "_" are allowed`, r)
		}
	}
	return nil
}
