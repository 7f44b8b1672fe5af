package decide

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// Match is a subscription that applies to an intent.
type Match struct {
	Subscription subscription.Subscription
	Site         hierarchy.Path // the site by which it applies
	Pattern      string         // the first of its patterns that applies, as in [hierarchy.Match]
	Why          string         // the same in words
}

// Found is the answer to a lookup.
type Found struct {
	Matches  []Match
	Place    resolve.Place
	Standing resolve.Standing
}

// find returns the subscriptions themselves, as the resolver has read them: there is no
// other statement. Lookups that ask the same share their matches, which must not be changed.
func find(ctx context.Context, r *resolve.Resolver, lookups []resolve.Lookup) ([]Found, error) {
	answers, err := r.Find(ctx, lookups)
	if err != nil {
		return nil, err
	}
	return foundOf(answers)
}

func foundOf(answers []resolve.Found) (found []Found, err error) {
	found = make([]Found, len(answers))
	read := make(map[*resolve.Match][]Match, len(answers))
	for i := range answers {
		a := &answers[i]
		found[i].Place, found[i].Standing = a.Place, a.Standing
		if len(a.Matches) == 0 {
			continue
		}
		matches, known := read[&a.Matches[0]]
		if !known {
			if matches, err = matchesOf(a.Matches); err != nil {
				return nil, fmt.Errorf("delivery: find subscriptions: %w", err)
			}
			read[&a.Matches[0]] = matches
		}
		found[i].Matches = matches
	}
	return found, nil
}

func matchesOf(found []resolve.Match) ([]Match, error) {
	matches := make([]Match, len(found))
	for i := range found {
		m := &found[i]
		matches[i] = Match{
			Site:    m.Site,
			Pattern: m.Pattern,
			Why:     m.Why,
		}
		if err := fill(m.Row, &matches[i].Subscription); err != nil {
			return nil, err
		}
	}
	return matches, nil
}

// fill gives a subscription the columns that a lookup reads.
func fill(row *store.ResolveRow, into *subscription.Subscription) error {
	*into = subscription.Subscription{
		ID:          row.ID,
		Name:        row.Name,
		Description: row.Description,
		Site:        hierarchy.Path(row.Site),
		URL:         row.URL,
		Events:      row.Events,
		Filter:      row.Filter,
		Owner:       row.Owner,
		Operator:    row.Operator,
		Permission:  row.Permission,
		Dialect:     row.Dialect,
		Schedule:    row.Schedule,
		Timeout:     time.Duration(row.TimeoutMs) * time.Millisecond,
		FailClosed:  row.FailClosed,
		MaxInFlight: row.MaxInFlight,
		Rate: subscription.Rate{
			Events: row.RateEvents,
			Per:    time.Duration(row.RatePerMs) * time.Millisecond,
			Burst:  row.RateBurst,
		},
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		State:              subscription.State(row.State),
		StateReason:        row.StateReason,
		StateSince:         row.StateSince,
		Epoch:              row.Epoch,
		CreatedAt:          row.CreatedAt,
		UpdatedAt:          row.UpdatedAt,
		DeletedAt:          row.DeletedAt,
	}
	if len(row.Channels) > 0 {
		into.Channels = row.Channels
	}
	if err := readMap(row.Headers, &into.Headers); err != nil {
		return err
	}
	return readMap(row.Metadata, &into.Metadata)
}

func readMap(text json.RawMessage, into *map[string]string) error { //nolint:gocritic // as json.Unmarshal has it
	if string(text) == "{}" {
		return nil
	}
	return json.Unmarshal(text, into)
}
