package record

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/store"
)

// Operation is an event that Riverhook writes itself.
type Operation struct {
	Type         string
	Subscription uuid.UUID
	Kind         string
	Resource     uuid.UUID
	Data         any // what its JSON is made of
}

// SubscriptionEvent tells what happened to a subscription: the data of an operation and
// the argument of a hook. Its fields and their JSON are those of delivery.SubscriptionEvent.
type SubscriptionEvent struct {
	SubscriptionID uuid.UUID `json:"subscription"`
	Owner          string    `json:"owner,omitempty"`
	URL            string    `json:"url"`
	Epoch          int       `json:"epoch"`
	Reason         string    `json:"reason"`
	FailingSince   time.Time `json:"failing_since,omitzero"`
	FailedAttempts int       `json:"failed_attempts"`
}

// Operation is the operation of a type that tells of the event.
func (ev SubscriptionEvent) Operation(eventType string) Operation {
	return Operation{
		Type:         eventType,
		Subscription: ev.SubscriptionID,
		Kind:         event.SubscriptionKind,
		Resource:     ev.SubscriptionID,
		Data:         ev,
	}
}

// DeliveryEvent tells what happened to a delivery. Its fields and their JSON are those of
// delivery.DeliveryEvent.
type DeliveryEvent struct {
	DeliveryID     uuid.UUID       `json:"delivery"`
	SubscriptionID uuid.UUID       `json:"subscription"`
	Owner          string          `json:"owner,omitempty"`
	URL            string          `json:"url"`
	IntentID       string          `json:"intent"`
	EventType      string          `json:"type"`
	Attempts       int             `json:"attempts"`
	Outcome        attempt.Outcome `json:"outcome"`
	Status         int             `json:"status,omitempty"`
}

func (ev DeliveryEvent) operation() Operation {
	return Operation{
		Type:         event.DeliveryExhausted,
		Subscription: ev.SubscriptionID,
		Kind:         event.DeliveryKind,
		Resource:     ev.DeliveryID,
		Data:         ev,
	}
}

// deliveryEvent describes a delivery that has ended.
func deliveryEvent(tr *attempt.Transition) DeliveryEvent {
	t := tr.Target
	ev := DeliveryEvent{
		DeliveryID:     t.ID,
		SubscriptionID: t.Sub.ID,
		Owner:          t.Sub.Owner,
		URL:            attempt.PublicURL(t.Sub.URL),
		IntentID:       t.Event.ID,
		EventType:      t.Event.Type,
		Attempts:       tr.Attempts,
	}
	if tr.Attempt != nil {
		ev.Outcome, ev.Status = tr.Attempt.Outcome, tr.Attempt.Status
	}
	return ev
}

// recoveredEvent describes the end of a window of failures that was warned of.
func recoveredEvent(tr *attempt.Transition) SubscriptionEvent {
	return SubscriptionEvent{
		SubscriptionID: tr.Target.Sub.ID,
		Owner:          tr.Target.Sub.Owner,
		URL:            attempt.PublicURL(tr.Target.Sub.URL),
		Epoch:          tr.Recovered.Epoch,
		Reason:         "an attempt was delivered",
		FailingSince:   tr.Recovered.FailingSince,
		FailedAttempts: tr.Recovered.FailedAttempts,
	}
}

// exhaustions are the operations about deliveries that were exhausted.
func exhaustions(trs []*attempt.Transition, outs []result) (ops []Operation) {
	for i, tr := range trs {
		if outs[i] == moved && tr.State == attempt.StateExhausted && !eventtype.IsReserved(tr.Target.Event.Type) {
			ops = append(ops, deliveryEvent(tr).operation())
		}
	}
	return ops
}

// Announce writes operations as intents in the transaction of q, if any subscription can
// receive them.
func Announce(ctx context.Context, q *store.Queries, newID func() uuid.UUID, ops []Operation) error {
	if len(ops) == 0 {
		return nil
	}
	p := &store.AnnounceParams{}
	for _, op := range ops {
		data, err := json.Marshal(op.Data)
		if err != nil {
			return fmt.Errorf("delivery: announce %s: %w", op.Type, err)
		}
		p.Ids = append(p.Ids, newID().String())
		p.Types = append(p.Types, op.Type)
		p.Patterns = append(p.Patterns, strings.Join(eventtype.Patterns(op.Type), " "))
		p.Subscriptions = append(p.Subscriptions, op.Subscription.String())
		p.Kinds = append(p.Kinds, op.Kind)
		p.Resources = append(p.Resources, op.Resource.String())
		p.Data = append(p.Data, string(data))
	}
	if err := q.Announce(ctx, p); err != nil {
		return fmt.Errorf("delivery: announce: %w", err)
	}
	return nil
}
