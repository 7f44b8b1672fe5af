package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/outbox"
)

// lookAgain is the time between two looks at a history that is to change.
const lookAgain = 20 * time.Millisecond

// expect waits until everything about an event has come to its end, records and
// prints its history and its explanation, and checks them.
func (s *story) expect(ctx context.Context, enqueued outbox.Result, want expected) error {
	found, err := s.waitFor(ctx, enqueued.ID, func(all []delivery.Delivery) bool {
		pending := slices.ContainsFunc(all, func(d delivery.Delivery) bool { return d.State == delivery.DeliveryPending })
		return len(all) >= want.deliveries() && !pending
	})
	if err != nil {
		return err
	}
	explained, err := s.engine.Explain(ctx, enqueued.ID)
	if err != nil {
		return err
	}
	ev := eventOf(s.act, &explained.Intent)
	s.result.Events = append(s.result.Events, ev)
	for _, d := range found {
		shown, err := s.deliveryOf(ctx, d)
		if err != nil {
			return err
		}
		s.result.Deliveries = append(s.result.Deliveries, shown)
	}
	for _, x := range explained.Subscriptions {
		s.result.Decisions = append(s.result.Decisions, decisionOf{
			EventID:      ev.ID,
			Subscription: x.Name,
			Outcome:      string(x.Outcome),
			Why:          x.Why,
		})
	}
	s.want[ev.ID] = want
	s.show.event(ev, s.result.deliveriesOf(ev.ID), s.result.decisionsOf(ev.ID))
	s.result.check(ev, want)
	return nil
}

// waitHeld waits until an event has all its deliveries, of which that to m is
// held and the others are delivered.
func (s *story) waitHeld(ctx context.Context, enqueued outbox.Result, m *member, deliveries int) (delivery.Delivery, error) {
	var held delivery.Delivery
	_, err := s.waitFor(ctx, enqueued.ID, func(all []delivery.Delivery) bool {
		done := 0
		for _, d := range all {
			switch {
			case d.State == delivery.DeliveryDelivered && d.SubscriptionID != m.sub.ID:
				done++
			case d.Hold == delivery.HoldPaused && d.SubscriptionID == m.sub.ID:
				held = d
				done++
			}
		}
		return done == deliveries
	})
	if err != nil {
		return held, err
	}
	s.held[held.ID] = string(held.Hold)
	return held, nil
}

// waitFor looks at the deliveries of an event until they are as they are to be,
// and returns them in the order of the cast.
func (w *world) waitFor(ctx context.Context, eventID string, done func([]delivery.Delivery) bool) ([]delivery.Delivery, error) {
	for {
		page, err := w.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{IntentID: eventID})
		if err != nil {
			return nil, err
		}
		found := page.Deliveries
		if done(found) {
			slices.SortFunc(found, func(a, b delivery.Delivery) int { return w.position(a) - w.position(b) })
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("event %s: %w; it has %s", eventID, ctx.Err(), summary(found))
		case <-time.After(lookAgain):
		}
	}
}

// settled waits until no delivery to m is pending.
func (w *world) settled(ctx context.Context, m *member) error {
	for {
		pending, err := w.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{
			SubscriptionID: m.sub.ID,
			State:          delivery.DeliveryPending,
			Limit:          1,
		})
		if err != nil || len(pending.Deliveries) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("delivery %s is still pending: %w", pending.Deliveries[0].ID, ctx.Err())
		case <-time.After(lookAgain):
		}
	}
}

func (w *world) position(d delivery.Delivery) int {
	return slices.IndexFunc(w.members, func(m *member) bool { return m.sub.ID == d.SubscriptionID })
}

func summary(all []delivery.Delivery) string {
	states := make([]string, len(all))
	for i, d := range all {
		states[i] = fmt.Sprintf("%s: %s %s", d.SubscriptionName, d.State, d.Hold)
	}
	return fmt.Sprintf("%d deliveries %q", len(all), states)
}

func (s *story) deliveryOf(ctx context.Context, d delivery.Delivery) (deliveryOf, error) {
	attempts, err := s.engine.History().Attempts(ctx, d.ID)
	if err != nil {
		return deliveryOf{}, err
	}
	shown := deliveryOf{
		EventID:      d.IntentID,
		ID:           d.ID.String(),
		Subscription: d.SubscriptionName,
		Site:         string(d.MatchedSite),
		Dialect:      d.Dialect,
		State:        string(d.State),
		WasHeld:      s.held[d.ID],
		Attempts:     make([]attemptOf, len(attempts)),
	}
	for i, a := range attempts {
		shown.Attempts[i] = attemptOf{
			Number:  a.Number,
			Outcome: string(a.Outcome),
			Status:  a.Status,
			At:      a.StartedAt,
			Micros:  a.Duration.Microseconds(),
		}
	}
	return shown, nil
}

func eventOf(act string, in *delivery.IntentRecord) enqueued {
	return enqueued{
		Act:        act,
		ID:         in.ID,
		Type:       in.Type,
		Resource:   in.ResourceKind + ":" + in.ResourceID,
		Site:       string(in.Site),
		ActiveSite: string(in.ActiveSite),
		OccurredAt: in.OccurredAt,
	}
}
