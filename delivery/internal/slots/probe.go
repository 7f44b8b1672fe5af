package slots

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

// probeMargin is how much longer than its request may take a probe keeps others
// away, so that its answer can be recorded.
const probeMargin = 2 * recordTime

// Probes decides which delivery is the probe of an endpoint whose circuit is not closed.
type Probes struct {
	Limiter *Limiter
	Store   *store.Queries // with plans that are kept
}

// Claim makes a delivery the one probe of its endpoint, over all engines, if the circuit is
// not closed. It is called right before a request, which may take as long as timeout. It
// returns nil if the request may go out, or what follows for the delivery instead: also for
// one that was read, and has waited for its slot, before the circuit opened.
func (p *Probes) Claim(ctx context.Context, t *attempt.Target, timeout time.Duration) *attempt.Transition {
	if !t.Trial {
		if !t.AtOnce && p.Limiter.stoppedSince(t.EndpointKey(), t.ReadAt) {
			return t.HeldByCircuit()
		}
		return nil
	}
	rows, err := p.Store.ClaimProbe(ctx, &store.ClaimProbeParams{
		SubscriptionID: t.Sub.ID,
		Epoch:          t.Epoch,
		URLVersion:     t.Sub.URLVersion,
		ID:             t.ID,
		AtOnce:         t.AtOnce,
		Retry:          t.IsRetry(),
		LeaseMs:        (timeout + probeMargin).Milliseconds(),
	})
	switch {
	case err != nil:
		return t.Postpone(attempt.ChangedWait, "its circuit could not be read")
	case len(rows) == 0: // it has been closed meanwhile
		t.Trial = false
		t.Probe = false
		t.CircuitOpened = 0
		return nil
	case !rows[0].Claimed:
		t.Probe = false
		return t.HeldByCircuit()
	default:
		t.Probe, t.CircuitOpened = true, rows[0].CircuitOpened
		return nil
	}
}
