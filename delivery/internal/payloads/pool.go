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

	// nextWaits is how many times as long the one waits that is served next: as long as a
	// request can take, after which something is given back.
	nextWaits = 20

	// batchSize bounds the payloads that one statement loads.
	batchSize = 16

	// keptPart is the part of the bytes, one of so many, that is not given out in order. Half
	// of it is the reserve, for shares that hold few: they need not wait until those that hold
	// many have given something back. The other half is left to what is urgent.
	keptPart    = 4
	reservePart = 2 * keptPart

	// guessPart is the part that guesses may take: calls that hang, of which nobody knows
	// yet how much they return, leave room for what is known.
	guessPart = 2
)

// Data is the name of the data of an intent among its payloads. The other names are
// those of dialects, for its messages.
const Data = ""

// ErrFull is the error of Wait after too long a wait. The job is to become a row again.
var ErrFull = errors.New("the bytes in flight are taken (Limits.BytesInFlight)")

// Config is what a Pool works with.
type Config struct {
	Bytes   int // the most that payloads have together. Default: DefaultBytes
	Store   *store.Queries
	MaxWait time.Duration // of Wait. Default: DefaultWait
}

// Pool has the large payloads that jobs of this process hold in memory, and bounds them by
// their bytes. A job takes all that it is going to need in one step, before it loads or makes
// anything; while it waits for that it holds nothing, so that no two jobs wait for each other.
// What is larger than all of the pool goes alone, as soon as nothing else is held.
//
// Those that wait are served by turns of their shares. The next one gets what is given back
// until it has enough, however much it needs; meanwhile others get something only of the
// reserve, of which a share can have what is left as long as it holds less than that.
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
	reserve int // of these, those of the reserve
	urgent  *order
	waiting *order
}

// key names a payload of an intent.
type key struct {
	IntentID uuid.UUID
	Name     string // Data, or a dialect
}

// part is a payload that somebody holds.
type part struct {
	key     key
	holders int   // guarded by Pool.mu, as is what follows
	taken   int   // bytes
	of      payer // who took it first

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
	p := &Pool{
		cfg:     cfg,
		parts:   map[key]*part{},
		urgent:  newOrder(),
		waiting: newOrder(),
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

	guesses []Expectation // of which Guess is the sum
}

// Expectation says how many bytes a message that is going to be made will have, and whether that
// is a guess. The pool calls it again, from any goroutine and with its lock held: it must be quick,
// safe for concurrent use, and must not call the pool.
type Expectation func() (bytes int, guess bool)

// Size is how many bytes a payload has.
type Size struct {
	Name  string // Data, or a dialect
	Bytes int
}

// Make adds a message that the job is going to make, unless the database has it. While it waits
// for a guess, what is expected is asked again: it can be known by now. Up to Inline bytes are not
// counted.
func (w *Want) Make(name string, expect Expectation) {
	if !w.stored(name) {
		w.expect(expect)
	}
}

// MakeLargest is Make of the largest of some messages, by their names.
func (w *Want) MakeLargest(all map[string]Expectation) {
	var unmade []Expectation
	for name, expect := range all {
		if !w.stored(name) {
			unmade = append(unmade, expect)
		}
	}
	w.expect(func() (bytes int, guess bool) {
		for _, expect := range unmade {
			if n, isGuess := expect(); n > bytes {
				bytes, guess = n, isGuess
			}
		}
		return bytes, guess
	})
}

func (w *Want) stored(name string) bool {
	return slices.ContainsFunc(w.Stored, func(s Size) bool { return s.Name == name })
}

func (w *Want) expect(expect Expectation) {
	bytes, guess := expect()
	if bytes <= Inline {
		return
	}
	w.Made += bytes
	if guess {
		w.Guess += bytes
		w.guesses = append(w.guesses, expect)
	}
}

// guessAgain asks again for what was guessed.
func (w *Want) guessAgain() {
	if len(w.guesses) == 0 {
		return
	}
	guesses := w.guesses
	w.Made -= w.Guess
	w.Guess, w.guesses = 0, nil
	for _, expect := range guesses {
		w.expect(expect)
	}
}

// Try takes what a job wants if there is room and nobody waits. The caller must release
// what it gets.
func (p *Pool) Try(w Want) (*Held, bool) {
	if len(w.Stored) == 0 && w.Made == 0 {
		return &Held{
			pool:     p,
			intentID: w.IntentID,
			of:       payerOf(&w, false),
		}, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	first, reserve := p.next(), false
	switch need := p.need(&w); {
	case need == 0:
	case first != nil && first.want.Urgent && !w.Urgent:
		return nil, false
	case (first == nil || w.Urgent && !first.want.Urgent) && p.fits(&w, need):
	case p.fitsReserve(&w, need): // none of those that wait does, or it would not wait
		reserve = true
	default:
		return nil, false
	}
	held := p.take(&w, reserve)
	p.serve() // its share holds more than before, so that another one may be next
	return held, true
}

// Wait is Try that waits until there is room, in the order of the pool, for Config.MaxWait
// at most, and nextWaits as long if it is served next; then it returns ErrFull. The caller must
// hold nothing of the pool, no slot and no connection.
func (p *Pool) Wait(ctx context.Context, w Want) (*Held, error) {
	waiting := p.enter(w)
	timer := time.NewTimer(p.cfg.MaxWait)
	defer timer.Stop()
	for waits := 1; ; waits++ {
		select {
		case held := <-waiting.granted:
			return held, nil
		case <-ctx.Done():
		case <-timer.C:
			if waits < nextWaits && p.isNext(waiting) {
				timer.Reset(p.cfg.MaxWait)
				continue
			}
		}
		if held := p.giveUp(waiting); held != nil {
			return held, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, ErrFull
	}
}

// enter lets a job wait, which may be served at once.
func (p *Pool) enter(w Want) *waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := &waiter{want: w, granted: make(chan *Held, 1)}
	p.orderOf(&w).add(waiting)
	p.serve()
	return waiting
}

// giveUp ends a wait. It returns what the job has got meanwhile.
func (p *Pool) giveUp(w *waiter) *Held {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case held := <-w.granted:
		return held
	default:
	}
	p.orderOf(&w.want).remove(w)
	p.serve() // it may have been in the way of others
	return nil
}

func (p *Pool) isNext(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next() == w
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

// fits says whether there is room for so many bytes more, without the reserve. What others
// have of that does not count: they do not delay who is served next.
func (p *Pool) fits(w *Want, need int) bool {
	if w.Urgent {
		return p.mayGuess(w) && (p.taken == 0 || p.taken+need <= p.cfg.Bytes)
	}
	ordered := p.taken - p.reserve
	return p.mayGuess(w) && (ordered == 0 || ordered+need <= p.cfg.Bytes-p.cfg.Bytes/keptPart)
}

// fitsReserve says whether so many bytes more may be of the reserve. Their share then holds no
// more than what is left of it.
func (p *Pool) fitsReserve(w *Want, need int) bool {
	holds := 0
	if s := p.waiting.known[w.Share]; s != nil {
		holds = s.bytes
	}
	left := p.cfg.Bytes/reservePart - p.reserve - need
	return !w.Urgent && p.mayGuess(w) && holds+need <= left && p.taken+need <= p.cfg.Bytes-p.cfg.Bytes/reservePart
}

func (p *Pool) mayGuess(w *Want) bool {
	return w.Guess == 0 || p.guessed == 0 || p.guessed+w.Guess <= p.cfg.Bytes/guessPart
}

func (p *Pool) orderOf(w *Want) *order {
	if w.Urgent {
		return p.urgent
	}
	return p.waiting
}

// next is who is served next. What may not guess at present lets others pass.
func (p *Pool) next() *waiter {
	may := func(w *waiter) bool {
		w.want.guessAgain()
		return p.mayGuess(&w.want)
	}
	if w := p.urgent.next(may); w != nil {
		return w
	}
	return p.waiting.next(may)
}

// serve gives those that wait what there is room for.
func (p *Pool) serve() {
	for w := p.next(); w != nil; w = p.next() {
		reserve := false
		if need := p.need(&w.want); need > 0 && !p.fits(&w.want, need) {
			if w.want.Urgent {
				return
			}
			if w = p.waiting.next(p.mayPass); w == nil {
				return
			}
			reserve = p.need(&w.want) > 0
		}
		held := p.take(&w.want, reserve)
		p.orderOf(&w.want).remove(w)
		w.granted <- held
	}
}

// mayPass is true of one that need not wait for its turn.
func (p *Pool) mayPass(w *waiter) bool {
	need := p.need(&w.want)
	return need == 0 || p.fitsReserve(&w.want, need)
}

// take takes what a job wants, of the reserve or not.
func (p *Pool) take(w *Want, reserve bool) *Held {
	h := &Held{
		pool:     p,
		intentID: w.IntentID,
		of:       payerOf(w, reserve),
		made:     w.Made,
		guess:    w.Guess,
	}
	p.guessed += w.Guess
	p.charge(h.of, w.Made)
	for _, s := range w.Stored {
		h.hold(s.Name, s.Bytes)
	}
	p.orderOf(w).served(w.Share)
	return h
}

// payer is whose bytes some are.
type payer struct {
	share   string
	urgent  bool
	reserve bool // they are of the reserve
}

func payerOf(w *Want, reserve bool) payer {
	return payer{
		share:   w.Share,
		urgent:  w.Urgent,
		reserve: reserve,
	}
}

// charge counts bytes, or gives them back.
func (p *Pool) charge(of payer, bytes int) {
	p.taken += bytes
	if of.reserve {
		p.reserve += bytes
	}
	if of.urgent {
		p.urgent.charge(of.share, bytes)
	} else {
		p.waiting.charge(of.share, bytes)
	}
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
