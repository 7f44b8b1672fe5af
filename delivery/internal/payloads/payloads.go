// Package payloads loads the large payloads that the jobs of a process need, and lets
// them share one copy.
package payloads

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// Inline is the largest message, or data of an intent, in bytes, that is loaded with
	// each row that needs it. A larger payload is loaded when it is needed, once for all
	// attempts of this process that need it by then.
	Inline = 4 << 10

	// batchSize bounds the payloads that one statement loads.
	batchSize = 16
)

// Data is the name of the data of an intent among its payloads. The other names are
// those of dialects, for its messages.
const Data = ""

// Pool has the large payloads that jobs of this process hold in memory. The jobs of one
// intent share them: a fan-out to thousands has one copy of each message, in its first
// run, in later ones and in its retries. It is safe for concurrent use.
type Pool struct {
	loads *batch.Group[key, []byte]
	store *store.Queries

	mu      sync.Mutex
	intents map[uuid.UUID]*Held
}

// key names a payload of an intent.
type key struct {
	IntentID uuid.UUID
	Name     string // Data, or a dialect
}

// Held are the payloads of one intent. They stay in memory until each Hold has had its
// Release.
type Held struct {
	id      uuid.UUID
	pool    *Pool
	holders int // guarded by pool.mu

	mu    sync.Mutex
	parts map[string]*part // by name
}

// part is one payload.
type part struct {
	turn   chan struct{} // has room for one: whoever has put something in may use the rest
	loaded bool
	bytes  []byte // nil: the database does not have it any more
}

// New makes an empty pool, which loads from a database until Close.
func New(queries *store.Queries) *Pool {
	p := &Pool{store: queries, intents: map[uuid.UUID]*Held{}}
	p.loads = batch.New(batch.Config{MaxSize: batchSize, Whole: heartbeat.ConcernsAll}, p.load)
	return p
}

// Close ends loading.
func (p *Pool) Close() { p.loads.Close() }

// Hold keeps what is loaded of an intent in memory until Release is called.
func (p *Pool) Hold(intentID uuid.UUID) *Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := p.intents[intentID]
	if held == nil {
		held = &Held{id: intentID, pool: p}
		p.intents[intentID] = held
	}
	held.holders++
	return held
}

// Release ends one Hold. After the last one the payloads are forgotten.
func (p *Held) Release() {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	p.holders--
	if p.holders == 0 {
		delete(p.pool.intents, p.id)
	}
}

func (p *Held) part(name string) *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.parts[name]
	if known == nil {
		if p.parts == nil {
			p.parts = map[string]*part{}
		}
		known = &part{turn: make(chan struct{}, 1)}
		p.parts[name] = known
	}
	return known
}

// Get returns a payload, and loads it if nobody has done so. It is nil if the database
// does not have it any more.
func (p *Held) Get(ctx context.Context, name string) ([]byte, error) {
	part := p.part(name)
	select {
	case part.turn <- struct{}{}:
		defer func() { <-part.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !part.loaded {
		loaded, err := p.pool.loads.Do(ctx, key{p.id, name})
		if err != nil {
			return nil, err
		}
		part.loaded = true
		part.bytes = loaded
	}
	return part.bytes, nil
}

// Share takes in a payload as it is stored, and returns the copy to use: that of others
// if they have one. A payload of up to Inline bytes is not shared.
func (p *Held) Share(name string, bytes []byte) []byte {
	if len(bytes) <= Inline {
		return bytes
	}
	part := p.part(name)
	part.turn <- struct{}{}
	defer func() { <-part.turn }()
	if !part.loaded || part.bytes == nil {
		part.loaded = true
		part.bytes = bytes
	}
	return part.bytes
}

// Messages returns the bodies that are in memory, by dialect.
func (p *Held) Messages() map[string][]byte {
	p.mu.Lock()
	parts := maps.Clone(p.parts)
	p.mu.Unlock()
	loaded := make(map[string][]byte, len(parts))
	for name, part := range parts {
		select {
		case part.turn <- struct{}{}:
			if name != Data && part.bytes != nil {
				loaded[name] = part.bytes
			}
			<-part.turn
		default: // it is being loaded
		}
	}
	return loaded
}

// load is the flush of the batch of loads.
func (p *Pool) load(ctx context.Context, keys []key) ([][]byte, error) {
	params := &store.LoadPayloadsParams{}
	for _, k := range keys {
		params.IntentIds = append(params.IntentIds, k.IntentID.String())
		params.Dialects = append(params.Dialects, k.Name)
	}
	rows, err := p.store.LoadPayloads(ctx, params)
	if err != nil {
		return nil, fmt.Errorf("delivery: load payloads: %w", err)
	}
	byKey := make(map[key][]byte, len(rows))
	for _, row := range rows {
		byKey[key{row.IntentID, row.Dialect}] = row.Payload
	}
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = byKey[k]
	}
	return out, nil
}
