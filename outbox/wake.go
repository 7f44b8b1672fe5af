package outbox

import (
	"sync"
	"time"
)

// wakeBurst is how many notifications may come close together. Without it, of
// two commits within an interval the second would always wait for a poll.
const wakeBurst = 5

// wakes says which of the calls may send a notification, which the SQL functions enqueue_one
// and enqueue_batch then do. Only those are debounced.
type wakes struct {
	interval time.Duration
	now      func() time.Time

	mu   sync.Mutex
	paid time.Time // the notifications sent so far, an interval each, are paid for at this time
}

func newWakes(interval time.Duration) *wakes {
	return &wakes{interval: interval, now: time.Now}
}

func (w *wakes) take() bool {
	if w.interval < 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if w.paid.Before(now) {
		w.paid = now
	}
	if w.paid.Sub(now) > (wakeBurst-1)*w.interval {
		return false
	}
	w.paid = w.paid.Add(w.interval)
	return true
}
