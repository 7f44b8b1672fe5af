package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// report is what happened, and what -json prints.
type report struct {
	program.Verdict

	Postgres string   `json:"postgres"`
	Sent     []sent   `json:"sent"`
	Refused  []string `json:"refused"` // why
}

// sent is an event and who has got it.
type sent struct {
	Event         string   `json:"event"`
	Type          string   `json:"type"`
	SchemaVersion int      `json:"schema_version"`
	To            []string `json:"to"`
}

func newReport() *report {
	return &report{
		Verdict: program.Good(),
		Sent:    []sent{},
		Refused: []string{},
	}
}

// String implements fmt.Stringer.
func (r *report) String() string {
	return fmt.Sprintf("All was as it must be: %d events were sent, %d were refused.", len(r.Sent), len(r.Refused))
}

// follower is somebody who subscribes.
type follower struct {
	created  *subscription.Created
	receiver *deliverytest.Receiver
}

// verifies says whether a secret alone is enough for the last request.
func (f *follower) verifies(secret subscription.Secret) bool {
	all := f.receiver.Requests()
	if len(all) == 0 {
		return false
	}
	last := all[len(all)-1]
	return dialect.StandardVerifier(nil).Verify(last.Header, last.Body, []dialect.Secret{secret}, time.Now()) == nil
}

func (s *story) close() {
	for _, f := range s.followers {
		f.receiver.Close()
	}
}

func (s *story) create(ctx context.Context, origin string, to ...string) error {
	id, err := s.archive.create(ctx, origin)
	if err != nil {
		return err
	}
	return s.expect(ctx, id, to)
}

func (s *story) visit(ctx context.Context, v visit, version int, to ...string) error {
	id, err := s.archive.visit(ctx, v, version)
	if err != nil {
		return err
	}
	return s.expect(ctx, id, to)
}

// expect sends what is due, as a started engine does by itself, and compares who has
// got an event, by the history and by signed requests, with who was to.
func (s *story) expect(ctx context.Context, id string, to []string) error {
	if _, err := s.engine.RunDue(ctx); err != nil {
		return err
	}
	intent, err := s.engine.History().Intent(ctx, id)
	if err != nil {
		return err
	}
	page, err := s.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{IntentID: id, State: delivery.DeliveryDelivered})
	if err != nil {
		return err
	}
	got := sent{
		Event:         id,
		Type:          intent.Type,
		SchemaVersion: intent.SchemaVersion,
	}
	for _, d := range slices.Backward(page.Deliveries) {
		got.To = append(got.To, d.SubscriptionName)
	}
	s.result.Expectf(slices.Equal(got.To, to), "%s was sent to %v, not to %v", id, got.To, to)
	for name, f := range s.followers {
		verified := slices.ContainsFunc(f.receiver.Requests(), func(r deliverytest.Request) bool { return r.ID() == id && r.Err == nil })
		s.result.Expectf(verified == slices.Contains(to, name), "%s: the %s has got it, well signed: %t", id, name, verified)
	}
	s.result.Sent = append(s.result.Sent, got)
	s.show.Printf("%-11s%s, schema version %d: to the %s, verified", id, got.Type, got.SchemaVersion, strings.Join(got.To, " and the "))
	return nil
}

// refused shows why an event was; that it was not is a problem.
func (s *story) refused(err error) {
	s.result.Expectf(errors.Is(err, outbox.ErrInvalidIntent), "not refused as an invalid intent: %v", err)
	s.result.Refused = append(s.result.Refused, fmt.Sprint(err))
	s.show.Printf("Refused: %v", err)
}

// listTypes shows the event types that are in use.
func (s *story) listTypes(ctx context.Context) error {
	types, err := s.types.List(ctx, nil)
	if err != nil {
		return err
	}
	t := program.NewTable("event type", "extends", "schemas", "keeps", "description")
	for _, eventType := range types.EventTypes {
		versions := make([]string, len(eventType.Schemas))
		for i, schema := range eventType.Schemas {
			versions[i] = strconv.Itoa(schema.Version)
		}
		keeps := cmp.Or(eventType.Payloads, event.KeepBody)
		t.Add(eventType.Name, strings.Join(eventType.Extends, " "), strings.Join(versions, " "), keeps, eventType.Description)
	}
	s.table(t)
	return nil
}

func (s *story) table(t *program.Table) { s.show.Printf("%s", strings.TrimSuffix(t.String(), "\n")) }
