package delivery

import (
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/store"
)

// DeliveryState is the state of a delivery. All but pending are final.
type DeliveryState = attempt.State

// The states of a delivery.
const (
	DeliveryCancelled = attempt.StateCancelled // ended with a reason that is no failure of the schedule
	DeliveryDelivered = attempt.StateDelivered // the endpoint answered 2xx
	DeliveryExhausted = attempt.StateExhausted // every attempt of the schedule has failed
	DeliveryExpired   = attempt.StateExpired   // held for longer than Config.Maintenance.MaxHold
	DeliveryPending   = attempt.StatePending   // goes on: due, or held
)

// Hold is what a pending delivery waits for; "" for the time at which it is due.
type Hold = attempt.Hold

// The holds of a delivery.
const (
	HoldCause   = attempt.HoldCause   // something that the engines lack, or cannot ask: see Delivery.Cause
	HoldCircuit = attempt.HoldCircuit // the endpoint fails, and is probed now and then; or it has asked to wait
	HoldPaused  = attempt.HoldPaused  // the subscription is paused
	HoldRate    = attempt.HoldRate    // the rate of the subscription, or of its owner, is used up
	HoldSlots   = attempt.HoldSlots   // the endpoint, or its share, has as many requests in flight as it may have
)

// Delivery is one intent for one subscription, as it stands.
type Delivery struct {
	ID         uuid.UUID      `json:"id"`
	IntentID   string         `json:"intent_id"` // the wire id: webhook-id
	EventType  string         `json:"event_type"`
	Site       hierarchy.Path `json:"site"`                  // of the resource
	ActiveSite hierarchy.Path `json:"active_site,omitempty"` // where the operation ran
	Channel    string         `json:"channel,omitempty"`
	Actor      string         `json:"actor,omitempty"`
	OccurredAt time.Time      `json:"occurred_at"`

	ResourceKind string `json:"resource_kind,omitempty"`
	ResourceID   string `json:"resource_id,omitempty"`

	SubscriptionID   uuid.UUID      `json:"subscription_id"`
	SubscriptionName string         `json:"subscription_name,omitempty"`
	URL              string         `json:"url"`             // as it is now, without user, password and query
	Owner            string         `json:"owner,omitempty"` // "" for an operator's subscription
	Dialect          string         `json:"dialect"`
	MatchedSite      hierarchy.Path `json:"matched_site"`    // the site by which the subscription applied
	MatchedPattern   string         `json:"matched_pattern"` // and the pattern

	State       DeliveryState `json:"state"`
	Hold        Hold          `json:"hold,omitempty"`
	Cause       *Cause        `json:"cause,omitempty"`        // of HoldCause; for the operator alone
	Reason      string        `json:"reason,omitempty"`       // why it is held, waits or ended as it did
	Round       int           `json:"round"`                  // from 1; each redelivery opens another
	Attempts    int           `json:"attempts"`               // in this round, without interrupted ones
	LastOutcome Outcome       `json:"last_outcome,omitempty"` // of any round
	LastStatus  int           `json:"last_status,omitempty"`  // 0: no answer
	DueAt       *time.Time    `json:"due_at,omitempty"`       // of the next attempt; nil when held or ended
	HeldSince   *time.Time    `json:"held_since,omitempty"`   // when the wait began, before which no attempt was made
	CreatedAt   time.Time     `json:"created_at"`
	EndedAt     *time.Time    `json:"ended_at,omitempty"` // of this round
}

func newDelivery(row store.ListDeliveriesRow) Delivery {
	d := Delivery{
		ID:               row.ID,
		IntentID:         row.WireID,
		EventType:        row.Type,
		Site:             hierarchy.Path(row.Site),
		ActiveSite:       hierarchy.Path(row.ActiveSite),
		Channel:          row.Channel,
		Actor:            row.Actor,
		OccurredAt:       row.OccurredAt,
		ResourceKind:     row.ResourceKind,
		ResourceID:       row.ResourceID,
		SubscriptionID:   row.SubscriptionID,
		SubscriptionName: row.Name,
		URL:              attempt.PublicURL(row.URL),
		Owner:            row.Owner,
		Dialect:          row.Dialect,
		MatchedSite:      hierarchy.Path(row.MatchedSite),
		MatchedPattern:   row.MatchedPattern,
		State:            DeliveryState(row.State),
		Hold:             Hold(row.Hold),
		Reason:           row.Reason,
		Round:            row.Round,
		Attempts:         row.Attempts,
		LastOutcome:      Outcome(row.LastOutcome),
		LastStatus:       row.LastStatus,
		CreatedAt:        row.CreatedAt,
		EndedAt:          row.EndedAt,
	}
	switch {
	case d.Hold != "":
		d.HeldSince = row.HeldSince
		d.Cause = causeOf(row.Cause)
	case d.State == DeliveryPending:
		d.DueAt = &row.DueAt
	}
	return d
}

// Message is what each attempt of a delivery sends, as it is stored.
type Message struct {
	ContentType string            `json:"content_type"`
	Headers     map[string]string `json:"headers,omitempty"` // those that the dialect has made once for all attempts
	Body        Body              `json:"body"`
	Gone        bool              `json:"gone,omitempty"`   // the body was erased, or is not kept: it cannot be sent again
	SHA256      string            `json:"sha256,omitempty"` // of the body, in hex, where only that is kept
}
