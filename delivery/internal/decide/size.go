package decide

import (
	"sync"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/eventtype"
)

const (
	// maxSizes bounds the kinds of messages whose sizes are remembered.
	maxSizes = 10_000

	// sizeMemory is how many messages the mean size is of, roughly.
	sizeMemory = 8
)

// sizes remembers how many bytes the messages have that externalizers make. The zero value
// knows nothing. It is safe for concurrent use.
type sizes struct {
	mu    sync.Mutex
	known map[sizeKey]size
}

type sizeKey struct{ Dialect, Kind, Type string }

// size is the mean of what was made lately. Until something was made it is a guess.
type size struct {
	bytes int
	guess bool
}

func keyOf(ev *dialect.Event, name string) sizeKey { return sizeKey{name, ev.ResourceKind, ev.Type} }

// of returns what is known, or a guess of at most so many bytes.
func (s *sizes) of(k sizeKey, most int) size {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.known[k]; ok {
		return known
	}
	return size{bytes: most, guess: true}
}

// made remembers what an externalizer has made.
func (s *sizes) made(k sizeKey, bytes int) {
	s.set(k, func(known size, ok bool) size {
		if ok && !known.guess {
			bytes = known.bytes + (bytes-known.bytes)/sizeMemory
		}
		return size{bytes: bytes}
	})
}

// failed makes a guess of at most so many bytes smaller: an externalizer that makes nothing
// must not keep the bytes of those that do.
func (s *sizes) failed(k sizeKey, most int) {
	s.set(k, func(known size, ok bool) size {
		switch {
		case !ok:
			return size{bytes: most / 2, guess: true}
		case known.guess:
			known.bytes /= 2
		}
		return known
	})
}

func (s *sizes) set(k sizeKey, to func(known size, ok bool) size) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.known[k]
	if !ok && len(s.known) >= maxSizes || s.known == nil {
		s.known = map[sizeKey]size{}
	}
	s.known[k] = to(known, ok)
}

// Expect returns what says how many bytes it takes to make the message of an event in a dialect, whose
// data have so many: those of a message as large as the data, or of what its externalizer
// has made lately, of the message, and of the statement that writes it. guess is true if
// nothing was made yet; then it is twice the most that may be made. It keeps nothing of the
// event.
func (m *Messages) Expect(ev *dialect.Event, name string, data int) func() (bytes int, guess bool) {
	k := keyOf(ev, name)
	made := !eventtype.IsReserved(ev.Type) && m.Externalizer(name, ev.ResourceKind, ev.Type) != nil
	return func() (bytes int, guess bool) {
		if !made {
			return min(data, m.MaxBytes), false
		}
		expected := m.sizes.of(k, m.MaxBytes)
		if expected.guess {
			return 2 * expected.bytes, true
		}
		return 3 * expected.bytes, false
	}
}

// Dialects are those that matches need messages in, except for those that exist.
func Dialects(matches []Match, exist map[string]dialect.Message) map[string]bool {
	var needed map[string]bool
	for i := range matches {
		sub := &matches[i].Subscription
		if InactiveReason(sub.State, sub.StateReason) != "" {
			continue
		}
		if _, ok := exist[sub.Dialect]; ok || needed[sub.Dialect] {
			continue
		}
		if needed == nil {
			needed = map[string]bool{}
		}
		needed[sub.Dialect] = true
	}
	return needed
}
