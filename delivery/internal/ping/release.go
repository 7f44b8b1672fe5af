package ping

import (
	"context"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

// releaseStep is how many planned retries are brought forward in one transaction.
const releaseStep = 500

// releasedReason is shown of a retry until its turn has come.
const releasedReason = "a ping has shown that the endpoint answers again"

// Release ends what keeps deliveries from an endpoint, and returns how many no longer
// wait. Their turn comes as that of other held deliveries does. After an error some may
// be released, and another call goes on with the rest.
func (p *Pinger) Release(ctx context.Context, to attempt.EndpointKey) (int, error) {
	ended, err := p.Store.EndWaits(ctx, &store.EndWaitsParams{SubscriptionID: to.SubscriptionID, URLVersion: to.URLVersion})
	if err != nil || ended.Epoch == 0 {
		return 0, err
	}
	retries := &store.HoldRetriesParams{
		SubscriptionID: to.SubscriptionID,
		Epoch:          ended.Epoch,
		Reason:         releasedReason,
		MaxRows:        releaseStep,
	}
	for released := ended.Held; ; {
		step, err := p.Store.HoldRetries(ctx, retries)
		if err != nil {
			return released, err
		}
		if released += step.Moved; step.Picked < releaseStep {
			return released, nil
		}
		retries.After = step.Last
	}
}
