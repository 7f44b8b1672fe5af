package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/text"
)

// ErrGone is what an [Externalizer] returns, wrapped or not, when the resource
// no longer exists and there is nothing to send. The intent then ends for each
// subscription of that dialect with the decision "gone". It is not a failure.
var ErrGone = decide.ErrGone

// Externalizer turns a resource into the data of a message. Applications
// have one where the intent's own data (the snapshot of the transaction)
// is not what a dialect should send.
//
// It is called once for each intent and dialect, after the commit and
// outside any transaction of Riverhook, so it may do I/O and sees committed
// state, which can be newer than the event. It returns what an intent's data may
// be, JSON in UTF-8 that is nested at most 512 levels deep, of no more than
// Config.Limits.RequestBytes. It is sent byte for byte. The result is stored, and every
// attempt sends the same.
// [ErrGone] says that there is nothing to send; any other error, or data that may
// not be, is tried again with backoff for this dialect alone. It must return when ctx is done,
// must not modify ev, and is called from several goroutines at once. A panic
// is an error of that call alone. One that ends its process fails the decisions of this
// dialect when it has done so four times.
type Externalizer func(ctx context.Context, ev dialect.Event) ([]byte, error)

// Externalizers holds externalizers by dialect, resource kind and event
// pattern. The zero value is empty and ready to use: every message then carries the data
// of its intent. It is safe for concurrent use.
//
// Of several that apply to an event the most specific one is called: one for the dialect
// takes precedence over one for any; among those, one for the kind over one for any; among
// those, by pattern, from its first segment on, a literal over "*" over "**". The order of
// registration does not matter. Only the event's own type is matched, not the umbrella
// types that it extends.
type Externalizers struct {
	mu      sync.RWMutex
	entries []externalizerEntry
}

type externalizerEntry struct {
	dialect, kind, pattern string
	externalizer           Externalizer
}

// Register adds ex for the messages in dialectName of events that match
// pattern and are about a resource of that kind. "" is any, for each of the
// three; for the pattern it is the same as "**". Patterns are those of a
// subscription: "user.created", "user.*", "user.**".
//
// A nil externalizer, a name that cannot be a dialect's, a bad pattern and a
// combination that is taken are errors and change nothing.
func (x *Externalizers) Register(dialectName, kind, pattern string, ex Externalizer) error {
	if ex == nil {
		return errors.New("delivery: register externalizer: the externalizer is nil")
	}
	if dialectName != "" {
		if err := text.CheckName(dialectName); err != nil {
			return fmt.Errorf("delivery: register externalizer: %w", err)
		}
	}
	if pattern == "" {
		pattern = "**"
	}
	if err := event.CheckPattern(pattern); err != nil {
		return fmt.Errorf("delivery: register externalizer: %w", err)
	}
	added := externalizerEntry{
		dialect:      dialectName,
		kind:         kind,
		pattern:      pattern,
		externalizer: ex,
	}

	x.mu.Lock()
	defer x.mu.Unlock()
	at, taken := slices.BinarySearchFunc(x.entries, added, externalizerEntry.compare)
	if taken {
		return fmt.Errorf("delivery: register externalizer: dialect %q, kind %q, pattern %q is taken",
			dialectName, kind, pattern)
	}
	x.entries = slices.Insert(x.entries, at, added)
	return nil
}

// find returns the externalizer for an event type and resource kind in a dialect; nil if the
// intent's own data is to be sent.
func (x *Externalizers) find(dialectName, kind, eventType string) decide.Externalize {
	if x == nil {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range x.entries {
		if (e.dialect == "" || e.dialect == dialectName) && (e.kind == "" || e.kind == kind) &&
			event.MatchPattern(e.pattern, eventType) {
			return decide.Externalize(e.externalizer)
		}
	}
	return nil
}

// The most specific comes first, so the first match is the answer.
func (e externalizerEntry) compare(other externalizerEntry) int {
	return cmp.Or(
		compareSpecific(e.dialect, other.dialect),
		compareSpecific(e.kind, other.kind),
		compareSpecific(prefixOf(e.pattern), prefixOf(other.pattern)),
		slices.CompareFunc(segmentsOf(e.pattern), segmentsOf(other.pattern), compareSpecific),
	)
}

func prefixOf(pattern string) string {
	if isQuestion(pattern) {
		return eventtype.BeforePrefix
	}
	return ""
}

func segmentsOf(pattern string) []string {
	return strings.Split(strings.TrimPrefix(pattern, eventtype.BeforePrefix), ".")
}

func compareSpecific(a, b string) int {
	return cmp.Or(cmp.Compare(breadth(a), breadth(b)), cmp.Compare(a, b))
}

func breadth(s string) int {
	switch s {
	case "*":
		return 1
	case "", "**":
		return 2
	default:
		return 0
	}
}
