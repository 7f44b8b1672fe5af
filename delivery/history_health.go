package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/subscription"
)

// Health is how a subscription does: its state, and what counts towards an
// automatic deactivation now, by the database's clock. Of one that is deactivated
// the reason is all that is left. If the endpoint has asked to wait, no retries go
// out before CircuitUntil either.
type Health struct {
	State          subscription.State `json:"state"`
	Reason         string             `json:"reason,omitempty"`       // why it is deactivated; else ""
	StateSince     time.Time          `json:"state_since"`            // when the state last changed
	Epoch          int                `json:"epoch"`                  // grows by one at each deactivation, from 1
	FailingSince   time.Time          `json:"failing_since,omitzero"` // the first failed attempt since a success or the activation; zero: none
	FailedAttempts int                `json:"failed_attempts"`        // in a row, since then
	Exhausted      int                `json:"exhausted"`              // deliveries in a row, since then
	Unresolvable   int                `json:"unresolvable"`           // intents that met an owner that does not exist, since the activation
	WarnedAt       time.Time          `json:"warned_at,omitzero"`     // when Hooks.SubscriptionFailing was due in this window; zero: not yet
	CircuitUntil   time.Time          `json:"circuit_until,omitzero"` // its endpoint gets no new deliveries before; zero: it gets all

	// Rate is what the subscription itself says, whatever Limits.MaxRate and the rate of its
	// owner leave of that; the zero Rate is none of its own. HeldByRate are its deliveries that
	// wait for its rate or for that of its owner. What goes out within about 2 s is not held any
	// more, but planned: see Stats.Scheduled.
	Rate       subscription.Rate `json:"rate,omitzero"`
	HeldByRate int               `json:"held_by_rate"`
}

// Health returns how a subscription does; the error is ErrNotFound where it was
// deleted or never was.
func (v *View) Health(ctx context.Context, id uuid.UUID) (*Health, error) {
	if err := v.allowed(ctx, v.store, id, access.VerbHistory); err != nil {
		return nil, fmt.Errorf("delivery: health of subscription %s: %w", id, err)
	}
	row, err := v.store.GetHealth(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("delivery: health of subscription %s: %w", id, err)
	}
	out := &Health{
		State:        subscription.State(row.State),
		Reason:       row.StateReason,
		StateSince:   row.StateSince,
		Epoch:        row.Epoch,
		CircuitUntil: orZero(row.CircuitUntil),
		Rate: subscription.Rate{
			Events: row.RateEvents,
			Per:    time.Duration(row.RatePerMs) * time.Millisecond,
			Burst:  row.RateBurst,
		},
		HeldByRate: row.HeldByRate,
	}
	if asked := orZero(row.AskedUntil); asked.After(out.CircuitUntil) {
		out.CircuitUntil = asked
	}
	if row.Failing {
		out.FailingSince = orZero(row.FailingSince)
		out.FailedAttempts = row.FailedAttempts
		out.Exhausted = row.ExhaustedRow
		out.WarnedAt = orZero(row.WarnedAt)
	}
	if row.Unresolved {
		out.Unresolvable = row.Unresolvable
	}
	return out, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
