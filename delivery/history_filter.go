package delivery

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/cursor"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	defaultListLimit = 100
	maxListLimit     = 1000

	// maxClockSkew bounds what the time in an id can differ from the time at
	// which its row was written: clocks differ, and transactions last.
	maxClockSkew = 24 * time.Hour
)

// DeliveryFilter narrows a list of deliveries. Those fields that are given must
// all hold; the zero value is all of them. By SubscriptionID, IntentID and
// ResourceKind with ResourceID an index is used; the others look through what
// these leave, newest first, so that a page of what is rare can take long where
// neither they nor Since bound it.
type DeliveryFilter struct {
	// After is a delivery of which only newer ones are listed.
	After uuid.UUID

	// Channel is the channel of the intent, exactly.
	Channel string

	// Cursor is the Next of the page before. Default: the list begins with the newest.
	Cursor string

	// EventType is an event type or a pattern of them, such as "user.*", or one of
	// questions, such as "before:**".
	EventType string

	// Hold is what the delivery is held by.
	Hold Hold

	// IntentID is the wire id of the intent.
	IntentID string

	// Limit is the most that are returned, up to 1000. Default: 100.
	Limit int

	// Owner is the principal that the subscription belongs to.
	Owner string

	// ResourceID is the id of the resource. It needs ResourceKind.
	ResourceID string

	// ResourceKind is the kind of the resource.
	ResourceKind string

	// Since is the earliest time at which the delivery was made, inclusive.
	Since time.Time

	// Site is the site of the resource, as the intent names it.
	Site hierarchy.Path

	// State is the state of the delivery.
	State DeliveryState

	// SubscriptionID is the subscription.
	SubscriptionID uuid.UUID

	// Under is a site at or below which the resource is, as the intent names it.
	Under hierarchy.Path

	// Until is the time before which the delivery was made.
	Until time.Time
}

// DeliveryPage is a page of a list of deliveries.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`

	// Next is the Cursor of the page that follows; "": this one is the last. It tells
	// nothing about what is not on the page.
	Next string `json:"next,omitempty"`
}

// params are for one row more than the page may have, which says whether another
// follows. nil is the zero filter.
func (f *DeliveryFilter) params() (*store.ListDeliveriesParams, error) {
	return refusedFilter(f.build())
}

func (f *DeliveryFilter) build() (*store.ListDeliveriesParams, error) {
	if f == nil {
		f = &DeliveryFilter{}
	}
	if f.Hold != "" && !slices.Contains(attempt.Holds, f.Hold) {
		return nil, notOneOf("Hold", f.Hold, attempt.Holds)
	}
	if f.State != "" && !slices.Contains(attempt.States, f.State) {
		return nil, notOneOf("State", f.State, attempt.States)
	}
	if f.Hold != "" && f.State != "" && f.State != DeliveryPending {
		return nil, fmt.Errorf("Hold: only pending deliveries are held, not those that are %s", f.State)
	}
	switch {
	case !isText(f.IntentID):
		return nil, errNotText("IntentID")
	case !isText(f.Owner):
		return nil, errNotText("Owner")
	}
	before, err := cursor.Deliveries.ID(f.Cursor)
	if err != nil {
		return nil, fmt.Errorf("Cursor: %w", err)
	}
	b, err := filterBounds{
		f.After, before, f.Channel, f.EventType, f.Limit, f.ResourceID, f.ResourceKind, f.Since, f.Site, f.Under, f.Until,
	}.check()
	if err != nil {
		return nil, err
	}
	p := &store.ListDeliveriesParams{
		After:         b.After,
		Before:        b.Before,
		WireID:        f.IntentID,
		TypeRegex:     b.TypeRegex,
		Channel:       f.Channel,
		Site:          string(f.Site),
		Under:         b.Under,
		ResourceKind:  f.ResourceKind,
		ResourceID:    f.ResourceID,
		State:         string(f.State),
		Hold:          string(f.Hold),
		Since:         b.Since,
		Until:         b.Until,
		MaxRows:       b.Limit + 1,
		Owner:         f.Owner,
		Subscriptions: []string{},
	}
	if f.SubscriptionID != uuid.Nil {
		p.SubscriptionID = &f.SubscriptionID
	}
	return p, nil
}

// filterBounds is what the filters of deliveries and of intents have in common.
type filterBounds struct {
	After, Before uuid.UUID
	Channel       string
	EventType     string
	Limit         int
	ResourceID    string
	ResourceKind  string
	Since         time.Time
	Site, Under   hierarchy.Path
	Until         time.Time
}

type checkedBounds struct {
	After, Before uuid.UUID
	Limit         int
	Since, Until  *time.Time
	TypeRegex     string
	Under         string
}

func (f filterBounds) check() (checkedBounds, error) {
	b := checkedBounds{
		After:  f.After,
		Before: f.Before,
		Limit:  f.Limit,
	}
	if f.Limit < 0 || f.Limit > maxListLimit {
		return b, fmt.Errorf("Limit: is %d; must be 1 to %d, or 0 for %d", f.Limit, maxListLimit, defaultListLimit)
	}
	switch {
	case !isText(f.Channel):
		return b, errNotText("Channel")
	case !isText(f.ResourceID):
		return b, errNotText("ResourceID")
	case !isText(f.ResourceKind):
		return b, errNotText("ResourceKind")
	}
	if f.ResourceID != "" && f.ResourceKind == "" {
		return b, fmt.Errorf("ResourceKind: is empty; ResourceID %q needs it", f.ResourceID)
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return b, fmt.Errorf("Until: %s is not after Since, %s", f.Until.Format(time.RFC3339), f.Since.Format(time.RFC3339))
	}
	for _, path := range []struct {
		field string
		value hierarchy.Path
	}{{"Site", f.Site}, {"Under", f.Under}} {
		if path.value == "" {
			continue
		}
		if _, err := hierarchy.ParsePath(string(path.value)); err != nil {
			return b, fmt.Errorf("%s: %w", path.field, err)
		}
	}
	if f.EventType != "" {
		if err := event.CheckPattern(f.EventType); err != nil {
			return b, fmt.Errorf("EventType: %w", err)
		}
		b.TypeRegex = patternRegex(f.EventType)
	}
	def(&b.Limit, defaultListLimit)
	def(&b.Before, uuid.Max)
	if f.Under != hierarchy.Root {
		b.Under = string(f.Under)
	}
	if !f.Since.IsZero() {
		b.Since, b.After = &f.Since, later(b.After, firstID(f.Since.Add(-maxClockSkew)))
	}
	if !f.Until.IsZero() {
		b.Until, b.Before = &f.Until, earlier(b.Before, firstID(f.Until.Add(maxClockSkew)))
	}
	return b, nil
}

// isText says whether Postgres can hold a text, and so whether a row may have it.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// notOneOf says which values a field takes.
func notOneOf[T ~string](field string, value T, values []T) error {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return fmt.Errorf("%s: %q is not one of %s", field, value, strings.Join(texts, ", "))
}

func errNotText(field string) error {
	return fmt.Errorf("%s: must be valid UTF-8 without NUL", field)
}

// patternRegex is a pattern of types as Postgres matches it. One of events matches no
// questions, whose types alone have a colon.
func patternRegex(pattern string) string {
	pattern, forQuestions := strings.CutPrefix(pattern, eventtype.BeforePrefix)
	segments := strings.Split(pattern, ".")
	for i, segment := range segments {
		switch segment {
		case "*":
			segments[i] = `[^.:]+`
		case "**":
			segments[i] = `[^:]+`
		}
	}
	regex := strings.Join(segments, `\.`) + "$"
	if forQuestions {
		regex = eventtype.BeforePrefix + regex
	}
	return "^" + regex
}

// firstID is the lowest version 7 UUID of a time: what makes a listing by time
// begin in the index of ids.
func firstID(t time.Time) uuid.UUID {
	var id uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(min(max(t.UnixMilli(), 0), 1<<48-1)))
	copy(id[:], ms[2:])
	return id
}

func later(a, b uuid.UUID) uuid.UUID {
	if bytes.Compare(a[:], b[:]) > 0 {
		return a
	}
	return b
}

func earlier(a, b uuid.UUID) uuid.UUID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return a
	}
	return b
}
