package delivery

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// placeOf finds where the resource of an intent is now, for those who judge access later
// than its expansion. A suspect asks a tree of the application for itself.
func (e *Engine) placeOf(ctx context.Context, by *callbacks.Caller, asked hierarchy.Lookup) (place hierarchy.Place, err error) {
	if !e.asksTree {
		return e.places.Do(ctx, asked)
	}
	kept := by.Call(ctx, callbacks.StepTree, func() {
		if !by.Alone() {
			place, err = e.places.Do(ctx, asked)
			return
		}
		var all []hierarchy.Place
		if all, err = e.resolver.Places(ctx, []hierarchy.Lookup{asked}); err == nil {
			place = all[0]
		}
	})
	return place, cmp.Or(kept, err)
}

// placeReason is why access is not decided while a tree does not answer.
func placeReason(err error) string { return callbacks.ReasonNoSite + callbacks.Brief(err) }

// withoutPlace are the decisions of an intent whose place nobody knows. They wait, or
// have failed if the tree is given up.
func withoutPlace(err error, matches []subscription.Match, tries map[uuid.UUID]int) []decision {
	decisions := make([]decision, len(matches))
	for i, m := range matches {
		decisions[i] = decision{
			Match:   m,
			Outcome: decisionWaiting,
			Reason:  placeReason(err),
			Tries:   tries[m.Subscription.ID],
		}
		if callbacks.IsEnded(err) {
			decisions[i].Outcome, decisions[i].Reason = decisionFailed, err.Error()
		}
	}
	return decisions
}
