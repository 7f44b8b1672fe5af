package delivery

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// inlinePayload is the most bytes of a message, or of the data of an intent, that
	// are loaded with each row that needs them. A larger payload is loaded when its
	// turn has come, once for all attempts in this process that need it by then.
	inlinePayload = 4 << 10

	// payloadBatch bounds the payloads that are loaded by one statement.
	payloadBatch = 16
)

// payloads are the large payloads that jobs of this process have in memory. Jobs of
// one intent share them: a fan-out to thousands has one copy of each message, in
// its first run, in later ones and in its retries.
type payloads struct {
	loads *batch.Group[payloadKey, []byte]

	mu sync.Mutex
	of map[uuid.UUID]*intentPayloads
}

// payloadKey names a message by its dialect, and the data of an intent by "".
type payloadKey struct {
	IntentID uuid.UUID
	Dialect  string
}

// intentPayloads are those of one intent. They are there while somebody holds them.
type intentPayloads struct {
	id      uuid.UUID
	from    *payloads
	holders int // guarded by from.mu

	mu    sync.Mutex
	parts map[string]*payloadPart // by dialect
}

type payloadPart struct {
	turn   chan struct{} // whoever has it loads or looks
	loaded bool
	bytes  []byte // nil: there is none any more
}

func newPayloads(loads *batch.Group[payloadKey, []byte]) *payloads {
	return &payloads{loads: loads, of: map[uuid.UUID]*intentPayloads{}}
}

// hold keeps what is loaded of an intent until release is called.
func (p *payloads) hold(intentID uuid.UUID) *intentPayloads {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.of[intentID]
	if held == nil {
		held = &intentPayloads{id: intentID, from: p}
		p.of[intentID] = held
	}
	held.holders++
	return held
}

func (p *intentPayloads) release() {
	p.from.mu.Lock()
	defer p.from.mu.Unlock()
	p.holders--
	if p.holders == 0 {
		delete(p.from.of, p.id)
	}
}

func (p *intentPayloads) part(dialect string) *payloadPart {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[dialect]
	if part == nil {
		if p.parts == nil {
			p.parts = map[string]*payloadPart{}
		}
		part = &payloadPart{turn: make(chan struct{}, 1)}
		p.parts[dialect] = part
	}
	return part
}

// get returns a payload, and loads it where that was not done before; nil where it
// is not there any more.
func (p *intentPayloads) get(ctx context.Context, dialect string) ([]byte, error) {
	part := p.part(dialect)
	select {
	case part.turn <- struct{}{}:
		defer func() { <-part.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !part.loaded {
		loaded, err := p.from.loads.Do(ctx, payloadKey{p.id, dialect})
		if err != nil {
			return nil, err
		}
		part.loaded, part.bytes = true, loaded
	}
	return part.bytes, nil
}

// share takes in a payload as it is stored, and returns the copy to use: that of
// others where they have one. A small one is not shared.
func (p *intentPayloads) share(dialect string, bytes []byte) []byte {
	if len(bytes) <= inlinePayload {
		return bytes
	}
	part := p.part(dialect)
	part.turn <- struct{}{}
	defer func() { <-part.turn }()
	if !part.loaded || part.bytes == nil {
		part.loaded, part.bytes = true, bytes
	}
	return part.bytes
}

// messages are the bodies that are here, by dialect.
func (p *intentPayloads) messages() map[string][]byte {
	p.mu.Lock()
	parts := maps.Clone(p.parts)
	p.mu.Unlock()
	here := make(map[string][]byte, len(parts))
	for dialect, part := range parts {
		select {
		case part.turn <- struct{}{}:
			if dialect != "" && part.bytes != nil {
				here[dialect] = part.bytes
			}
			<-part.turn
		default: // it is being loaded
		}
	}
	return here
}

// loadPayloads is the flush of the batch of loads of payloads.
func (e *Engine) loadPayloads(ctx context.Context, keys []payloadKey) ([][]byte, error) {
	p := &store.LoadPayloadsParams{}
	for _, key := range keys {
		p.IntentIds = append(p.IntentIds, key.IntentID.String())
		p.Dialects = append(p.Dialects, key.Dialect)
	}
	rows, err := e.store.LoadPayloads(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("delivery: load payloads: %w", err)
	}
	byKey := make(map[payloadKey][]byte, len(rows))
	for _, row := range rows {
		byKey[payloadKey{row.IntentID, row.Dialect}] = row.Payload
	}
	out := make([][]byte, len(keys))
	for i, key := range keys {
		out[i] = byKey[key]
	}
	return out, nil
}
