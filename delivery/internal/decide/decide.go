// Package decide works out what becomes of an event for each subscription that it
// matches: is the subscription in force, does its filter let the event pass, may its owner
// see the resource, and is there a message in its dialect. It writes nothing.
package decide

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/subscription"
)

// Decider decides. It is safe for concurrent use.
type Decider struct {
	Access   Access
	Filters  *Filters
	Messages Messages

	// Tries is how often an externalizer or a dialect may fail for an event before the
	// decisions that need its message are failed.
	Tries int
}

// Input is what is decided about.
type Input struct {
	Event    dialect.Event
	Place    resolve.Place              // where the resource is now
	Matches  []Match                    // the subscriptions
	Tries    map[uuid.UUID]int          // how often a message was missing before, by subscription
	Messages map[string]dialect.Message // that exist already, by dialect

	// Patience is how long deliveries that are decided wait for the rest. After it, what
	// host code has not answered is left out, and decided again: see Decision.AtOnce. 0 is
	// until all is decided.
	Patience time.Duration
}

// Decide returns a decision for each match, in their order, and the messages that it made.
//
// It calls host code and so must be called while no connection is held. Checkers,
// externalizers and dialects are asked at the same time, each for the decisions that need
// it, except for one that by runs alone. A step of host
// code that is given up fails the decisions that need it. If by has stalled, nothing of
// what Decide returns is to be used.
func (d *Decider) Decide(ctx context.Context, by *callbacks.Caller, in *Input) (decisions []Decision, made map[string]dialect.Message) {
	decisions = make([]Decision, len(in.Matches))
	for i, m := range in.Matches {
		decisions[i] = Decision{
			Match:   m,
			Outcome: OutcomeDeliver,
			Tries:   in.Tries[m.Subscription.ID],
		}
		if reason := InactiveReason(m.Subscription.State, m.Subscription.StateReason); reason != "" {
			decisions[i].set(OutcomeInactive, reason)
		}
	}
	d.Filters.apply(ctx, by, in.Event, decisions)
	made = d.askHost(ctx, by, in, decisions)
	for i := range decisions {
		decision := &decisions[i]
		if decision.Outcome == OutcomeDeliver && decision.Subscription.State == subscription.StatePaused {
			decision.Hold = attempt.HoldPaused
		}
	}
	return decisions, made
}

// WithoutPlace are the decisions about an event if the place of its resource is not known:
// they wait, or have failed if the tree of sites is given up.
func WithoutPlace(err error, matches []Match, tries map[uuid.UUID]int) []Decision {
	like := Decision{
		Outcome: OutcomeWaiting,
		Reason:  PlaceReason(err),
		Cause:   NoPlace(),
	}
	if callbacks.IsEnded(err) {
		like = Decision{Outcome: OutcomeFailed, Reason: err.Error()}
	}
	decisions := make([]Decision, len(matches))
	for i, m := range matches {
		decisions[i] = like
		decisions[i].Match = m
		decisions[i].Tries = tries[m.Subscription.ID]
	}
	return decisions
}
