// Package batch is group commit: callers hand in one item each and wait until
// a statement that carries many of them is done. Batches form by themselves
// while one is under way and cost no delay while none is. Two at once were measured to cost
// the server more than they gain: each carries half as much.
package batch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrClosed is returned by Do after Close.
var ErrClosed = errors.New("batch: closed")

// Config says how a Group flushes.
type Config struct {
	// MaxSize is the most items of one batch. Default: 500.
	MaxSize int

	// Timeout bounds one flush. Default: 30 s.
	Timeout time.Duration

	// Total bounds all flushes of one batch together: that of the whole, and those of
	// its parts when that has failed. Default: 60 s.
	Total time.Duration

	// Whole is true of an error that does not come from an item, so that smaller
	// batches would fail as the whole one did. Default: there is none.
	Whole func(error) bool
}

func (c Config) withDefaults() Config {
	if c.MaxSize == 0 {
		c.MaxSize = 500
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Total == 0 {
		c.Total = 60 * time.Second
	}
	if c.Whole == nil {
		c.Whole = func(error) bool { return false }
	}
	return c
}

// Flush carries out one batch and returns one output for each item, in their
// order. It is all or nothing: after an error none of the items took effect.
type Flush[In, Out any] func(ctx context.Context, items []In) ([]Out, error)

// Group forms the batches. It is safe for concurrent use. A group without work
// has no goroutine, and one whose items come one at a time needs none.
type Group[In, Out any] struct {
	cfg      Config
	flush    Flush[In, Out]
	flushers sync.WaitGroup

	mu     sync.Mutex
	main   lane[In, Out]
	side   lane[In, Out] // of shares that have nothing in main
	closed bool
}

type call[In, Out any] struct {
	in    In
	out   Out
	err   error
	share string
	done  chan struct{}
}

// New makes a group.
func New[In, Out any](cfg Config, flush Flush[In, Out]) *Group[In, Out] {
	cfg = cfg.withDefaults()
	return &Group[In, Out]{
		cfg:   cfg,
		flush: flush,
		main:  lane[In, Out]{},
		side:  lane[In, Out]{each: sideEach},
	}
}

// Do hands in an item and waits until its batch is done. When ctx ends first
// Do returns its error, and the item may or may not still take effect. A flush
// that carries no other item runs in ctx and ends with it.
//
// An item whose batch fails is tried again in ever smaller batches, so that
// only the items that fail by themselves get an error; unless the error is one of
// Config.Whole, which all of them get. What is left after Config.Total fails.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) { return g.DoOf(ctx, "", in) }

// DoOf is Do of an item of a share. While a batch is under way, and neither it nor what waits has an
// item of that share, the item goes with a second flusher that only such items have: it
// is done no later because another share has thousands. "" is no share.
func (g *Group[In, Out]) DoOf(ctx context.Context, share string, in In) (Out, error) {
	var none Out
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	c := &call[In, Out]{
		in:    in,
		share: share,
		done:  make(chan struct{}),
	}
	l, alone, ok := g.enter(c)
	switch {
	case !ok:
		return none, ErrClosed
	case alone:
		return g.flushAlone(ctx, l, c)
	}
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// enter queues a call, unless its flusher is free: then nothing waits, and the
// caller is to be that flusher, alone with its item.
func (g *Group[In, Out]) enter(c *call[In, Out]) (l *lane[In, Out], alone, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, false, false
	}
	l = &g.main
	if c.share != "" && l.active && !l.has(c.share) && g.side.takes(c.share) {
		l = &g.side
	}
	l.add(c.share, 1)
	if !l.active {
		l.active = true
		g.flushers.Add(1)
		return l, true, true
	}
	l.queue = append(l.queue, c)
	return l, false, true
}

// flushAlone flushes one item in the goroutine of its caller: to wake another
// one, and this one again, takes longer than much of what a flush does.
func (g *Group[In, Out]) flushAlone(ctx context.Context, l *lane[In, Out], c *call[In, Out]) (Out, error) {
	defer g.yield(l, c)
	outs, err := g.attempt(ctx, []In{c.in})
	switch {
	case err == nil:
		return outs[0], nil
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	var none Out
	return none, err
}

// yield leaves what has been queued meanwhile to a goroutine: no caller flushes
// for others after its own item is done.
func (g *Group[In, Out]) yield(l *lane[In, Out], c *call[In, Out]) {
	defer g.flushers.Done()
	g.mu.Lock()
	defer g.mu.Unlock()
	l.add(c.share, -1)
	if len(l.queue) == 0 {
		l.active = false
		return
	}
	g.flushers.Go(func() { g.run(l) })
}

// Waiting is the number of items that no flusher has taken yet.
func (g *Group[In, Out]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.main.queue) + len(g.side.queue)
}

// Close lets what was handed in come to its end and refuses what comes later.
func (g *Group[In, Out]) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.flushers.Wait()
}

func (g *Group[In, Out]) run(l *lane[In, Out]) {
	for calls := g.take(l, nil); calls != nil; calls = g.take(l, calls) {
		g.settleAll(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

// take takes what is there already, after the calls that are done; with nothing there
// the flusher ends. It never lingers: flushing as soon as a flusher is free was measured
// to beat waiting for more.
func (g *Group[In, Out]) take(l *lane[In, Out], done []*call[In, Out]) []*call[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range done {
		l.add(c.share, -1)
	}
	n := min(len(l.queue), g.cfg.MaxSize)
	if n == 0 {
		l.active = false
		l.queue = nil
		return nil
	}
	calls := l.queue[:n:n]
	l.queue = l.queue[n:]
	return calls
}

func (g *Group[In, Out]) settleAll(calls []*call[In, Out]) {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Total)
	defer cancel()
	g.settle(ctx, calls)
}

func (g *Group[In, Out]) settle(ctx context.Context, calls []*call[In, Out]) {
	items := make([]In, len(calls))
	for i, c := range calls {
		items[i] = c.in
	}
	outs, err := g.attempt(ctx, items)
	switch {
	case err == nil:
		for i, c := range calls {
			c.out = outs[i]
		}
	case len(calls) == 1 || g.cfg.Whole(err) || ctx.Err() != nil:
		for _, c := range calls {
			c.err = err
		}
	default:
		half := len(calls) / 2
		g.settle(ctx, calls[:half])
		g.settle(ctx, calls[half:])
	}
}

func (g *Group[In, Out]) attempt(ctx context.Context, items []In) (outs []Out, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("batch: flush panicked: %v", p)
		}
	}()
	outs, err = g.flush(ctx, items)
	if err == nil && len(outs) != len(items) {
		err = fmt.Errorf("batch: flush returned %d outputs for %d items", len(outs), len(items))
	}
	return outs, err
}
