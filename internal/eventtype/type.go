// Package eventtype has the rules of the types of events and of questions, and of the
// patterns by which a subscription chooses among them. Package event offers those of them
// that an application needs.
package eventtype

import (
	"errors"
	"fmt"
	"strings"

	"github.com/riverhook/riverhook/internal/text"
)

const (
	maxEventTypeBytes = 128
	minTypeSegments   = 2
	maxTypeSegments   = 8

	anySegment = "*"
	anyRest    = "**"
)

// BeforePrefix begins the type of a question, which is put before something is
// done ("before:user.delete"), and the patterns that match questions.
const BeforePrefix = "before:"

// CheckType is the rule of event.CheckType.
func CheckType(s string) error { return checkType("event type", s, minTypeSegments) }

// CheckQuestionType says why s cannot be the type of a question.
//
// That is [BeforePrefix] and 1 to 8 segments as an event type has them:
// "before:user.delete", "before:measure".
func CheckQuestionType(s string) error {
	name, before := strings.CutPrefix(s, BeforePrefix)
	if !before {
		return fmt.Errorf("question type %s: must begin with %q", text.Quote(s), BeforePrefix)
	}
	return checkType("question type", name, 1)
}

func checkType(what, s string, least int) error {
	if len(s) > maxEventTypeBytes {
		return fmt.Errorf("%s %s: has %d characters; at most %d are allowed", what, text.Quote(s), len(s), maxEventTypeBytes)
	}
	segments := strings.Split(s, ".")
	if len(segments) < least || len(segments) > maxTypeSegments {
		return fmt.Errorf("%s %s: must have %d to %d segments joined by \".\"", what, text.Quote(s), least, maxTypeSegments)
	}
	for i, segment := range segments {
		if err := checkTypeSegment(segment); err != nil {
			return fmt.Errorf("%s %s: segment %d: %w", what, text.Quote(s), i+1, err)
		}
	}
	return nil
}

// Check says why s is the type of neither an event nor a question.
func Check(s string) error {
	if strings.HasPrefix(s, BeforePrefix) {
		return CheckQuestionType(s)
	}
	return CheckType(s)
}

// Split returns the name of a type, or of a pattern, without [BeforePrefix], and that prefix
// if there was one.
func Split(s string) (name, prefix string) {
	if name, before := strings.CutPrefix(s, BeforePrefix); before {
		return name, BeforePrefix
	}
	return s, ""
}

// ReservedPrefix begins the event types that are Riverhook's own. No application can
// enqueue or register them, and only subscriptions of the operator receive them.
const ReservedPrefix = "riverhook."

// IsReserved says whether an event type is Riverhook's own.
func IsReserved(eventType string) bool { return strings.HasPrefix(eventType, ReservedPrefix) }

// CheckPattern is the rule of event.CheckPattern.
func CheckPattern(s string) error {
	whole := text.Quote(s)
	fail := func(err error) error { return fmt.Errorf("pattern %s: %w", whole, err) }
	least := minTypeSegments
	if name, before := strings.CutPrefix(s, BeforePrefix); before {
		s, least = name, 1
	}
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
	if len(segments) < least || len(segments) > maxTypeSegments {
		return fail(fmt.Errorf(`matches no event type: they have %d to %d segments; "**" matches all`, least, maxTypeSegments))
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

// MatchPattern is the rule of event.MatchPattern.
func MatchPattern(pattern, eventType string) bool {
	pattern, forQuestions := strings.CutPrefix(pattern, BeforePrefix)
	eventType, isQuestion := strings.CutPrefix(eventType, BeforePrefix)
	if forQuestions != isQuestion {
		return false
	}
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

// Patterns returns all patterns that match the type of an event or of a question,
// itself among them: a subscription that has one of them receives it. A type of n
// segments has 2^(n+1)-1 of them, 7 for "user.created". They are in no particular
// order.
func Patterns(eventType string) []string {
	name, prefix := Split(eventType)
	segments := strings.Split(name, ".")
	patterns := make([]string, 0, 2<<len(segments))
	prefixes := []string{prefix}
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
