package payloads

import (
	"context"

	"github.com/google/uuid"
)

// Held are the payloads of one intent that one job has taken. They stay in memory until its
// Release. It is safe for concurrent use, but for Release, after which it must not be used.
type Held struct {
	pool     *Pool
	intentID uuid.UUID
	of       payer

	// Guarded by pool.mu.
	parts []*part
	made  int // bytes that are taken for what has no name yet
	guess int // of made
}

// Release gives back what a job has taken. Payloads that no other job holds are forgotten.
func (h *Held) Release() {
	if h == nil {
		return
	}
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	h.setMade(0)
	for _, part := range h.parts {
		h.drop(part)
	}
	h.parts = nil
	h.pool.serve()
}

// Drop gives one payload back.
func (h *Held) Drop(name string) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	for i, part := range h.parts {
		if part.key.Name != name {
			continue
		}
		h.drop(part)
		h.parts[i] = h.parts[len(h.parts)-1]
		h.parts = h.parts[:len(h.parts)-1]
		h.pool.serve()
		return
	}
}

// Made says how many bytes the messages have that were to be made: what was taken for them
// is corrected, without waiting.
func (h *Held) Made(bytes int) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	h.setMade(bytes)
	h.pool.serve()
}

// setMade, drop, hold and correct must be called with the lock of the pool held.
func (h *Held) setMade(bytes int) {
	h.pool.charge(h.of, bytes-h.made)
	h.pool.guessed -= h.guess
	h.made, h.guess = bytes, 0
}

func (h *Held) drop(part *part) {
	part.holders--
	if part.holders == 0 {
		h.pool.charge(part.of, -part.taken)
		delete(h.pool.parts, part.key)
	}
}

// hold makes this one of the holders of a payload, which takes so many bytes as far as is
// known.
func (h *Held) hold(name string, bytes int) *part {
	for _, part := range h.parts {
		if part.key.Name == name {
			return part
		}
	}
	k := key{h.intentID, name}
	known := h.pool.parts[k]
	if known == nil {
		known = &part{
			key:   k,
			taken: bytes,
			of:    h.of,
			turn:  make(chan struct{}, 1),
		}
		h.pool.parts[k] = known
		h.pool.charge(h.of, bytes)
	}
	known.holders++
	h.parts = append(h.parts, known)
	return known
}

// correct says how many bytes a payload has.
func (h *Held) correct(part *part, bytes int) {
	h.pool.charge(part.of, bytes-part.taken)
	part.taken = bytes
	h.pool.serve()
}

// Get returns a payload, and loads it if nobody has done so. It is nil if the database
// does not have it any more. What was not taken before is counted now, without waiting.
func (h *Held) Get(ctx context.Context, name string) ([]byte, error) {
	h.pool.mu.Lock()
	part := h.hold(name, 0)
	h.pool.mu.Unlock()
	select {
	case part.turn <- struct{}{}:
		defer func() { <-part.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !part.loaded {
		loaded, err := h.pool.loads.Do(ctx, part.key)
		if err != nil {
			return nil, err
		}
		part.loaded = true
		part.bytes = loaded
		h.pool.mu.Lock()
		h.correct(part, len(loaded))
		h.pool.mu.Unlock()
	}
	return part.bytes, nil
}

// Share takes in a payload as it is stored, and returns the copy to use: that of others
// if they have one. The bytes that were taken for messages to be made count for it from
// then on. A payload of up to Inline bytes is not shared.
func (h *Held) Share(name string, bytes []byte) []byte {
	if len(bytes) <= Inline {
		return bytes
	}
	h.pool.mu.Lock()
	part := h.hold(name, 0)
	h.pool.mu.Unlock()
	part.turn <- struct{}{}
	defer func() { <-part.turn }()
	if !part.loaded || part.bytes == nil {
		part.loaded = true
		part.bytes = bytes
		h.pool.mu.Lock()
		h.setMade(max(0, h.made-len(bytes)))
		h.correct(part, len(bytes))
		h.pool.mu.Unlock()
	}
	return part.bytes
}

// Messages returns the bodies that are in memory, by dialect.
func (h *Held) Messages() map[string][]byte {
	h.pool.mu.Lock()
	parts := append([]*part(nil), h.parts...)
	h.pool.mu.Unlock()
	loaded := make(map[string][]byte, len(parts))
	for _, part := range parts {
		select {
		case part.turn <- struct{}{}:
			if part.key.Name != Data && part.bytes != nil {
				loaded[part.key.Name] = part.bytes
			}
			<-part.turn
		default: // it is being loaded
		}
	}
	return loaded
}
