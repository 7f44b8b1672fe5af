package delivery

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/internal/store"
)

// Explain is that of [History], with a line for each subscription whose history the
// principal may see, and nothing about others, not even that there are any.
//
// Where nothing was delivered the line has the outcome, its class, and of one that waits the
// time of the next try, and nothing about the event: what nobody was allowed to be told is
// not told here either. Unless one of the subscriptions has a delivery of the intent, the
// intent has its id alone. It is an [ErrIntentNotFound] where there is no line, or
// where all say that the event is not one for their subscription.
//
// The sites, and the attributes and the hash of the data of the intent, are for
// operators. The authorizer is asked first, for the subscriptions that the event could
// be about.
func (p *PrincipalHistory) Explain(ctx context.Context, id string) (*Explanation, error) {
	x, err := p.history.explainTo(ctx, id, p)
	if err != nil {
		return nil, err
	}
	x.forOwner()
	if len(x.Subscriptions) == 0 {
		return nil, fmt.Errorf("delivery: intent %q: %w", id, ErrIntentNotFound)
	}
	return x, nil
}

// mayExplain are the subscriptions of an intent, at the sites of the explanation and those
// for which something was recorded, that the principal may see.
func (p *PrincipalHistory) mayExplain(ctx context.Context, x *Explanation) ([]string, error) {
	ids, err := p.history.store.ExplainCandidates(ctx, &store.ExplainCandidatesParams{IntentID: x.Intent.Key, Sites: x.siteTexts()})
	if err != nil {
		return nil, err
	}
	return p.shownOf(ctx, ids)
}

// forOwner leaves out what is for operators, of an explanation that has no lines but
// those of its owner.
func (x *Explanation) forOwner() {
	told, concerned := false, false
	for i := range x.Subscriptions {
		s := &x.Subscriptions[i]
		told = told || s.DeliveryID != nil
		concerned = concerned || s.Outcome != DecisionNotMatched
	}
	x.Sites = nil
	if x.SitesError != "" {
		x.SitesError = "the sites could not be read"
	}
	switch {
	case !concerned:
		x.Subscriptions = nil
		return
	case told:
		x.Intent.Attributes, x.Intent.DataSHA256 = nil, ""
		if x.Intent.Reason != "" {
			x.Intent.Reason = referring(classUnprocessed, x.Intent.ID)
		}
	default:
		x.Intent = IntentRecord{ID: x.Intent.ID}
	}
	lines := x.Subscriptions
	x.Subscriptions = nil
	for _, s := range lines {
		switch {
		case s.DeliveryID != nil || told && s.Live: // it may see the event
		case s.Outcome == DecisionNotMatched:
			continue
		case s.Live:
			s.Why = string(s.Outcome) + ": " + s.reason // how far the expansion has come
		default:
			s.Why = ownersDecision(s.Outcome, s.reason, x.Intent.ID, s.SubscriptionID)
			s.MatchedSite = ""
			s.MatchedPattern = ""
			s.Attempts = 0
		}
		s.reason = ""
		x.Subscriptions = append(x.Subscriptions, s)
	}
}

func (x *Explanation) siteTexts() []string {
	sites := make([]string, len(x.Sites))
	for i, s := range x.Sites {
		sites[i] = string(s.Site)
	}
	return sites
}
