// Package payloads bounds the large payloads that the jobs of a process have in memory,
// loads them, and lets jobs share one copy.
package payloads

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// Inline is the largest message, or data of an intent, in bytes, that is loaded with
	// each row that needs it, and is not counted. A larger payload is loaded when it is
	// needed, once for all attempts of this process that need it by then.
	Inline = 4 << 10

	// DefaultBytes is the bound of a pool that names none.
	DefaultBytes = 64 << 20

	// DefaultWait is how long Wait waits in a pool that does not say so.
	DefaultWait = 3 * time.Second

	// batchSize bounds the payloads that one statement loads.
	batchSize = 16

	// urgentPart is the part of the bytes that is left to what is urgent, and guessPart the
	// part that guesses may take: calls that hang, of which nobody knows yet how much they
	// return, leave room for what is known.
	urgentPart = 4
	guessPart  = 2
)

// Data is the name of the data of an intent among its payloads. The other names are
// those of dialects, for its messages.
const Data = ""

// ErrFull is the error of Wait after too long a wait. The job is to become a row again.
var ErrFull = errors.New("the bytes in flight are taken (Limits.BytesInFlight)")

// Config is what a Pool works with.
type Config struct {
	Bytes   int   // the most that payloads have together. Default: DefaultBytes
	Order   Order // of those that wait. Default: first come, first served
	Store   *store.Queries
	MaxWait time.Duration // of Wait. Default: DefaultWait
}

// Pool has the large payloads that jobs of this process hold in memory, and bounds them by
// their bytes. A job takes all that it is going to need in one step, before it loads or makes
// anything; while it waits for that it holds nothing, so that no two jobs wait for each other.
// What is larger than all of the pool goes alone, as soon as nothing else is held.
//
// The jobs of one intent share its payloads: a fan-out to thousands has one copy of each
// message, in its first run, in later ones and in its retries, and it is counted once.
// It is safe for concurrent use.
type Pool struct {
	cfg   Config
	loads *batch.Group[key, []byte]

	mu      sync.Mutex
	parts   map[key]*part
	taken   int // bytes
	guessed int // of these
	urgent  Order
	waiting Order
}

// key names a payload of an intent.
type key struct {
	IntentID uuid.UUID
	Name     string // Data, or a dialect
}

// part is a payload that somebody holds.
type part struct {
	key     key
	holders int // guarded by Pool.mu, as is taken
	taken   int // bytes

	turn   chan struct{} // has room for one: whoever has put something in may use the rest
	loaded bool
	bytes  []byte // nil: the database does not have it any more
}

// New makes an empty pool, which loads from a database until Close.
func New(cfg Config) *Pool {
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = DefaultWait
	}
	if cfg.Order == nil {
		cfg.Order = &fifo{}
	}
	p := &Pool{
		cfg:     cfg,
		parts:   map[key]*part{},
		urgent:  &fifo{},
		waiting: cfg.Order,
	}
	p.loads = batch.New(batch.Config{MaxSize: batchSize, Whole: heartbeat.ConcernsAll}, p.load)
	return p
}

// Close ends loading.
func (p *Pool) Close() { p.loads.Close() }

// Want is what a job is going to hold of one intent. The zero Want is nothing.
type Want struct {
	IntentID uuid.UUID
	Share    string // whose turn it takes
	Stored   []Size // payloads that the database has, each of more than Inline bytes
	Made     int    // bytes of the messages that the job is going to make
	Guess    int    // of Made: nobody knows how many there will be
	Urgent   bool   // somebody waits for it: it is served before what is not
}

// Size is how many bytes a payload has.
type Size struct {
	Name  string // Data, or a dialect
	Bytes int
}

// Make adds a message that the job is going to make, unless the database has it. The bytes
// are a guess if nobody knows how many there will be. Up to Inline of them are not counted.
func (w *Want) Make(name string, bytes int, guess bool) {
	if bytes <= Inline || slices.ContainsFunc(w.Stored, func(s Size) bool { return s.Name == name }) {
		return
	}
	w.Made += bytes
	if guess {
		w.Guess += bytes
	}
}

// Try takes what a job wants if there is room and nobody waits. The caller must release
// what it gets.
func (p *Pool) Try(w Want) (*Held, bool) {
	if len(w.Stored) == 0 && w.Made == 0 {
		return &Held{pool: p, intentID: w.IntentID}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if need := p.need(&w); need > 0 && (p.first(&w) || !p.fits(&w, need)) {
		return nil, false
	}
	return p.take(&w), true
}

// Wait is Try that waits until there is room, in the order of the pool, for Config.MaxWait
// at most; then it returns ErrFull. The caller must hold nothing of the pool, no slot and no
// connection.
func (p *Pool) Wait(ctx context.Context, w Want) (*Held, error) {
	waiter := &Waiter{Want: w, granted: make(chan *Held, 1)}
	p.mu.Lock()
	queue := p.waiting
	if w.Urgent {
		queue = p.urgent
	}
	queue.Add(waiter)
	p.serve()
	p.mu.Unlock()
	timer := time.NewTimer(p.cfg.MaxWait)
	defer timer.Stop()
	select {
	case held := <-waiter.granted:
		return held, nil
	case <-ctx.Done():
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case held := <-waiter.granted:
		return held, nil
	default:
	}
	queue.Remove(waiter)
	p.serve() // it may have been in the way of others
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, ErrFull
}

// Count counts bytes that somebody has made already, until Uncount. It does not wait.
func (p *Pool) Count(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken += bytes
}

// Uncount ends Count.
func (p *Pool) Uncount(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken -= bytes
	p.serve()
}

// Taken is how many bytes are held, or are going to be.
func (p *Pool) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// need is how many bytes a want would add. It and those below must be called with the lock
// held.
func (p *Pool) need(w *Want) int {
	need := w.Made
	for _, s := range w.Stored {
		if p.parts[key{w.IntentID, s.Name}] == nil {
			need += s.Bytes
		}
	}
	return need
}

// fits says whether there is room for so many bytes more.
func (p *Pool) fits(w *Want, need int) bool {
	room := p.cfg.Bytes
	if !w.Urgent {
		room -= room / urgentPart
	}
	return p.taken == 0 || p.taken+need <= room && p.mayGuess(w)
}

func (p *Pool) mayGuess(w *Want) bool {
	return w.Guess == 0 || p.guessed == 0 || p.guessed+w.Guess <= p.cfg.Bytes/guessPart
}

// first says whether somebody is served before a job that has not waited.
func (p *Pool) first(w *Want) bool {
	next := p.next()
	return next != nil && (next.Want.Urgent || !w.Urgent)
}

// next is who is served next. What may not guess at present lets others pass.
func (p *Pool) next() *Waiter {
	may := func(w *Waiter) bool { return p.mayGuess(&w.Want) }
	if w := p.urgent.Next(may); w != nil {
		return w
	}
	return p.waiting.Next(may)
}

// serve gives those that wait what there is room for.
func (p *Pool) serve() {
	for w := p.next(); w != nil; w = p.next() {
		if need := p.need(&w.Want); need > 0 && !p.fits(&w.Want, need) {
			return
		}
		if w.Want.Urgent {
			p.urgent.Remove(w)
		} else {
			p.waiting.Remove(w)
		}
		w.granted <- p.take(&w.Want)
	}
}

func (p *Pool) take(w *Want) *Held {
	h := &Held{
		pool:     p,
		intentID: w.IntentID,
		made:     w.Made,
		guess:    w.Guess,
	}
	p.taken += w.Made
	p.guessed += w.Guess
	for _, s := range w.Stored {
		h.hold(s.Name, s.Bytes)
	}
	return h
}

// load is the flush of the batch of loads.
func (p *Pool) load(ctx context.Context, keys []key) ([][]byte, error) {
	params := &store.LoadPayloadsParams{}
	for _, k := range keys {
		params.IntentIds = append(params.IntentIds, k.IntentID.String())
		params.Dialects = append(params.Dialects, k.Name)
	}
	rows, err := p.cfg.Store.LoadPayloads(ctx, params)
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
