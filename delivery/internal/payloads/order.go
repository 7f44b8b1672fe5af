package payloads

import "slices"

// Waiter is a job that waits for its bytes. It holds nothing.
type Waiter struct {
	Want Want

	granted chan *Held // has room for one
}

// Order is the order in which those that wait are served. A Pool calls it with its lock
// held.
type Order interface {
	Add(w *Waiter)
	Remove(w *Waiter)

	// Next is the one of those for whom may is true that is served next; nil if there is
	// none. It stays where it is.
	Next(may func(*Waiter) bool) *Waiter
}

// fifo is the Order in which they came.
type fifo struct{ waiting []*Waiter }

// Add makes a waiter the last one.
func (f *fifo) Add(w *Waiter) { f.waiting = append(f.waiting, w) }

// Remove is for waiters that were added.
func (f *fifo) Remove(w *Waiter) {
	i := slices.Index(f.waiting, w)
	f.waiting = slices.Delete(f.waiting, i, i+1)
}

// Next is the one that came first.
func (f *fifo) Next(may func(*Waiter) bool) *Waiter {
	for _, w := range f.waiting {
		if may(w) {
			return w
		}
	}
	return nil
}
