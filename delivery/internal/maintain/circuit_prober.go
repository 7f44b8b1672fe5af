package maintain

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// probeLease is how long a probe that CircuitProber has made due keeps others from the
// endpoint: its job has to be fetched, and its request to end.
const probeLease = 90 * time.Second

// CircuitProber makes one held delivery of each endpoint due, as its probe, if its circuit
// may be tried.
type CircuitProber struct {
	Store *store.Queries // with plans that are kept
}

// Probe does so for subscriptions, and returns how many deliveries are due.
func (p *CircuitProber) Probe(ctx context.Context, subscriptions []string) (int, error) {
	if len(subscriptions) == 0 {
		return 0, nil
	}
	ids, err := p.Store.ProbeCircuits(ctx, &store.ProbeCircuitsParams{
		Subscriptions: subscriptions,
		LeaseMs:       probeLease.Milliseconds(),
	})
	return len(ids), err
}
