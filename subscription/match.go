package subscription

import (
	"context"
	"fmt"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// Match is a subscription that applies to an intent.
type Match struct {
	Subscription Subscription   `json:"subscription"`
	Site         hierarchy.Path `json:"site"`    // the site by which it applies
	Pattern      string         `json:"pattern"` // the first of its patterns that applies, as in [hierarchy.Match]
	Why          string         `json:"why"`     // the same in words
}

// Found is the answer to a lookup, as [hierarchy.Found].
type Found struct {
	Matches  []Match            `json:"matches"`
	Place    hierarchy.Place    `json:"place"`
	Standing hierarchy.Standing `json:"standing"`
}

// Find is [hierarchy.Resolver.Find] with the subscriptions themselves, as that has read
// them: there is no other statement. Lookups that ask the same share their matches, which
// must not be changed.
func Find(ctx context.Context, r *hierarchy.Resolver, lookups []hierarchy.Lookup) ([]Found, error) {
	answers, err := r.Find(ctx, lookups)
	if err != nil {
		return nil, err
	}
	found := make([]Found, len(answers))
	read := make(map[*hierarchy.Match][]Match, len(answers))
	for i := range answers {
		a := &answers[i]
		found[i].Place, found[i].Standing = a.Place, a.Standing
		if len(a.Matches) == 0 {
			continue
		}
		matches, known := read[&a.Matches[0]]
		if !known {
			if matches, err = matchesOf(a.Matches); err != nil {
				return nil, fmt.Errorf("subscription: find: %w", err)
			}
			read[&a.Matches[0]] = matches
		}
		found[i].Matches = matches
	}
	return found, nil
}

func matchesOf(found []hierarchy.Match) ([]Match, error) {
	matches := make([]Match, len(found))
	for i := range found {
		m := &found[i]
		sub, err := resolved(m.Row())
		if err != nil {
			return nil, err
		}
		matches[i] = Match{
			Subscription: *sub,
			Site:         m.Site,
			Pattern:      m.Pattern,
			Why:          m.Why,
		}
	}
	return matches, nil
}

// resolved is a subscription with the columns that a lookup reads.
func resolved(row *store.ResolveRow) (*Subscription, error) {
	return subscriptionOf(store.Subscription{
		ID:                 row.ID,
		Name:               row.Name,
		Description:        row.Description,
		Site:               row.Site,
		URL:                row.URL,
		Events:             row.Events,
		Channels:           row.Channels,
		Filter:             row.Filter,
		Owner:              row.Owner,
		Operator:           row.Operator,
		Permission:         row.Permission,
		Dialect:            row.Dialect,
		Headers:            row.Headers,
		Schedule:           row.Schedule,
		TimeoutMs:          row.TimeoutMs,
		FailClosed:         row.FailClosed,
		MaxInFlight:        row.MaxInFlight,
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		Metadata:           row.Metadata,
		State:              row.State,
		StateReason:        row.StateReason,
		StateSince:         row.StateSince,
		Epoch:              row.Epoch,
		CreatedAt:          row.CreatedAt,
		UpdatedAt:          row.UpdatedAt,
		DeletedAt:          row.DeletedAt,
	})
}
