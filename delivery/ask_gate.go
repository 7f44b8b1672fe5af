package delivery

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/send"
)

// askAll asks all gates at once. Where no request could be made it says so in the
// decision.
func (e *Engine) askAll(ctx context.Context, targets []*target, decisions []decide.Decision) map[uuid.UUID]*attempt.Transition {
	made := make([]*attempt.Transition, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		if t == nil {
			continue
		}
		wg.Go(func() {
			var why send.Unasked
			if made[i], why = e.sender.Ask(ctx, t); made[i] == nil {
				decisions[i].Outcome = decide.OutcomeUnanswered
				if why.Inactive {
					decisions[i].Outcome = decide.OutcomeInactive
				}
				decisions[i].Reason = why.Reason
				decisions[i].DeliveryID = uuid.Nil
			}
		})
	}
	wg.Wait()
	asked := make(map[uuid.UUID]*attempt.Transition, len(targets))
	for i, tr := range made {
		if tr != nil {
			asked[decisions[i].Subscription.ID] = tr
		}
	}
	return asked
}
