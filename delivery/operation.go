package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/store"
)

// The types of events that the engine writes itself, as intents like any other, in
// the transaction that makes the change. Each is at the site of the subscription
// that it is about. Only subscriptions with Operator set hear them; where none can,
// nothing is written.
//
// What becomes of such an event leads to no other, but for the deactivation of a
// subscription: no delivery of one is announced as exhausted, and there is no
// warning of a window in which nothing else has failed.
const (
	// DeliveryExhaustedEventType is that of a delivery whose schedule is exhausted;
	// the data is a [DeliveryEvent].
	DeliveryExhaustedEventType = event.ReservedPrefix + "delivery.exhausted"

	// SubscriptionDeactivatedEventType is that of a subscription that the engine has
	// deactivated; the data is a [SubscriptionEvent].
	SubscriptionDeactivatedEventType = event.ReservedPrefix + "subscription.deactivated"

	// SubscriptionFailingEventType is that of a subscription that will be deactivated
	// if it goes on failing; the data is a [SubscriptionEvent].
	SubscriptionFailingEventType = event.ReservedPrefix + "subscription.failing"

	// SubscriptionRecoveredEventType is that of a success after a warning; the data is
	// a [SubscriptionEvent].
	SubscriptionRecoveredEventType = event.ReservedPrefix + "subscription.recovered"
)

// The kinds of resources that these events are about; their ids are those of the
// delivery and of the subscription.
const (
	DeliveryResourceKind     = event.ReservedPrefix + "delivery"
	SubscriptionResourceKind = event.ReservedPrefix + "subscription"
)

// operation is an event that the engine writes itself.
type operation struct {
	Type         string
	Subscription uuid.UUID
	Kind         string
	Resource     uuid.UUID
	Data         any
}

func (ev SubscriptionEvent) operation(eventType string) operation {
	return operation{
		Type:         eventType,
		Subscription: ev.SubscriptionID,
		Kind:         SubscriptionResourceKind,
		Resource:     ev.SubscriptionID,
		Data:         ev,
	}
}

func (ev DeliveryEvent) operation() operation {
	return operation{
		Type:         DeliveryExhaustedEventType,
		Subscription: ev.SubscriptionID,
		Kind:         DeliveryResourceKind,
		Resource:     ev.DeliveryID,
		Data:         ev,
	}
}

// announce writes operations as intents, as far as anybody listens.
func (e *Engine) announce(ctx context.Context, q *store.Queries, ops []operation) error {
	if len(ops) == 0 {
		return nil
	}
	p := &store.AnnounceParams{}
	for _, op := range ops {
		data, err := json.Marshal(op.Data)
		if err != nil {
			return fmt.Errorf("delivery: announce %s: %w", op.Type, err)
		}
		p.Ids = append(p.Ids, e.ids.next().String())
		p.Types = append(p.Types, op.Type)
		p.Patterns = append(p.Patterns, strings.Join(event.Patterns(op.Type), " "))
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

// conclude writes what a batch says of endpoints, and announces what follows of it
// beside ops.
func (e *Engine) conclude(ctx context.Context, q *store.Queries, health healthBook, ops []operation) error {
	ended, err := health.write(ctx, q)
	if err != nil {
		return err
	}
	return e.announce(ctx, q, append(ops, health.recoveries(ended)...))
}

// exhaustions are the operations about deliveries that were exhausted.
func exhaustions(trs []*attempt.Transition, outs []recorded) (ops []operation) {
	for i, tr := range trs {
		if outs[i] == moved && tr.State == attempt.StateExhausted && !event.IsReserved(tr.Target.Event.Type) {
			ops = append(ops, deliveryEvent(tr).operation())
		}
	}
	return ops
}

// deliveryEvent describes a delivery that has ended, for hooks and operational events.
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

// recoveries are the operations about windows that were warned of and have ended.
// The transitions that ended them come to know it.
func (b healthBook) recoveries(ended []store.RecordRecoveriesRow) (ops []operation) {
	for _, row := range ended {
		tr := b[healthKey{
			SubscriptionID: row.SubscriptionID,
			Epoch:          row.Epoch,
			URLVersion:     row.URLVersion,
		}].Recovered
		tr.Recovered = &attempt.Recovery{Epoch: row.Epoch, FailedAttempts: row.FailedAttempts}
		if row.FailingSince != nil {
			tr.Recovered.FailingSince = *row.FailingSince
		}
		ops = append(ops, recoveredEvent(tr).operation(SubscriptionRecoveredEventType))
	}
	return ops
}

// recoveredEvent describes the end of a window of failures.
func recoveredEvent(tr *attempt.Transition) SubscriptionEvent {
	return SubscriptionEvent{
		SubscriptionID: tr.Target.Sub.ID,
		Owner:          tr.Target.Sub.Owner,
		URL:            attempt.PublicURL(tr.Target.Sub.URL),
		Epoch:          tr.Recovered.Epoch,
		Reason:         "an attempt was delivered",
		FailedAttempts: tr.Recovered.FailedAttempts,
		FailingSince:   tr.Recovered.FailingSince,
	}
}
