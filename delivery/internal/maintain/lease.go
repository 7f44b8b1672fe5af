package maintain

import (
	"context"
	"sync"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// leaseTime is how long after its last word an engine is believed to do what one does for
// all. It is less than LostAfter, so that what is lost with the engine is found no later.
// docs/operations.md names it.
const leaseTime = 10 * time.Second

// Lease is the right to do what one engine does for all. It is a row that says who does and
// since when, by the clock of the database, and not a lock: a lock of a session does not
// work behind PgBouncer, and neither kind ends while its holder hangs. The end of an engine
// ends its lease (RemoveEngine). An engine that was suspended may finish a step beside its
// successor, which harms nothing: what one has changed the other does not. It is safe for
// concurrent use.
type Lease struct {
	Process string // the name of the engine among the heartbeats
	Store   *store.Queries

	mu      sync.Mutex
	renewed time.Time
}

// Hold takes the lease if it is free, or renews it, and returns whether the process has it.
func (l *Lease) Hold(ctx context.Context) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.renewed) < leaseTime/3 {
		return true, nil
	}
	leased, err := l.Store.LeaseMaintenance(ctx, &store.LeaseMaintenanceParams{
		Process: l.Process,
		LeaseMs: leaseTime.Milliseconds(),
	})
	if leased {
		l.renewed = now
	}
	return leased, err
}
