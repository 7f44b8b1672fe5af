package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/text"
)

// ErrGone is what an [Externalizer] returns, wrapped or not, when the resource
// no longer exists and there is nothing to send. The intent then ends for each
// subscription of that dialect with the decision "gone". It is not a failure.
var ErrGone = decide.ErrGone

// Externalizer turns a resource into the data of a message. Applications
// implement it where the intent's own data (the snapshot of the transaction)
// is not what a dialect should send. It will not gain methods.
//
// Externalize is called once for each intent and dialect, after the commit and
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
type Externalizer interface {
	Externalize(ctx context.Context, ev dialect.Event) ([]byte, error)
}

// ExternalizerFunc makes an [Externalizer] of a function.
type ExternalizerFunc func(ctx context.Context, ev dialect.Event) ([]byte, error)

// Externalize implements [Externalizer].
func (f ExternalizerFunc) Externalize(ctx context.Context, ev dialect.Event) ([]byte, error) {
	return f(ctx, ev)
}

// Externalizers holds externalizers by dialect, resource kind and event
// pattern. The zero value is empty and ready to use. It is safe for concurrent use.
type Externalizers struct {
	mu      sync.RWMutex
	entries []externalizerEntry
}

type externalizerEntry struct {
	dialect, kind, pattern string
	externalizer           Externalizer
}

// NewExternalizers returns an empty registry: every message then carries the
// data of its intent.
func NewExternalizers() *Externalizers { return &Externalizers{} }

// Register adds ex for the messages in dialectName of events that match
// pattern and are about a resource of that kind. "" is any, for each of the
// three; for the pattern it is the same as "**". Patterns are those of a
// subscription: "user.created", "user.*", "user.**".
//
// A nil externalizer, a name that cannot be a dialect's, a bad pattern and a
// combination that is taken are errors and change nothing.
func (x *Externalizers) Register(dialectName, kind, pattern string, ex Externalizer) error {
	if nilExternalizer(ex) {
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

// Find returns the externalizer for an event type and resource kind in a
// dialect, and false when the intent's own data is to be sent.
//
// Of several that apply the most specific one is taken: one for this dialect
// before one for any; among those, one for this kind before one for any; among
// those, by pattern, from its first segment on, a literal before "*" before
// "**". The order of registration does not matter. Only the event's own type
// is matched, not the umbrella types that it extends.
func (x *Externalizers) Find(dialectName, kind, eventType string) (Externalizer, bool) {
	if x == nil {
		return nil, false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range x.entries {
		if (e.dialect == "" || e.dialect == dialectName) && (e.kind == "" || e.kind == kind) &&
			event.MatchPattern(e.pattern, eventType) {
			return e.externalizer, true
		}
	}
	return nil, false
}

// find is Find for package decide.
func (x *Externalizers) find(dialectName, kind, eventType string) decide.Externalize {
	found, ok := x.Find(dialectName, kind, eventType)
	if !ok {
		return nil
	}
	return found.Externalize
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
		return event.BeforePrefix
	}
	return ""
}

func segmentsOf(pattern string) []string {
	return strings.Split(strings.TrimPrefix(pattern, event.BeforePrefix), ".")
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

// A nil pointer in the interface would only be found at the first event.
func nilExternalizer(ex Externalizer) bool {
	if ex == nil {
		return true
	}
	switch v := reflect.ValueOf(ex); v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice:
		return v.IsNil()
	default:
		return false
	}
}
