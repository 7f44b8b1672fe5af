package outbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	maxDescriptionChars = 1024
	maxExtends          = 32
)

// EventType describes a type of event. Types need not be registered to be
// enqueued; one that extends others must be.
type EventType struct {
	// Name is the type as intents have it: "user.created".
	Name string `json:"name"`

	// Description is for people, at most 1024 characters.
	Description string `json:"description"`

	// Extends names umbrella types: a subscription that wants one of these hears
	// this type too, and so on upward. They need not be registered. At most 32,
	// in no cycle.
	Extends []string `json:"extends"`

	// PayloadAge is how long payloads are kept whole, from the expansion of their
	// intent on, in whole milliseconds; longer where not all has ended, and no longer
	// than HistoryRules.MaxAge. It belongs to Payloads and needs one that is not
	// event.KeepBody. Default: 0.
	PayloadAge time.Duration `json:"payload_age_ns"`

	// Payloads is what engines keep of the data of intents of this type, and of the
	// messages made of it, when all deliveries of the intent have ended: event.KeepBody,
	// event.KeepHash or event.KeepNothing. It takes precedence over HistoryRules.Payloads of an
	// engine, and a rule for the type in its HistoryRules.Types over this. Types do not
	// inherit it from umbrella types. Empty: as the engine's rules say.
	Payloads event.Keep `json:"payloads"`

	// Schemas are the versions of what Data must be, side by side. Register adds
	// them to those that are there. Umbrella types lend theirs to nobody.
	Schemas []EventSchema `json:"schemas"`

	// ArchivedAt is when the type was archived; nil: it is in use. Register
	// leaves it as it is.
	ArchivedAt *time.Time `json:"archived_at"`

	// CreatedAt and UpdatedAt are set by the store.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func eventTypeOf(row *store.EventType) EventType {
	return EventType{
		ArchivedAt:  row.ArchivedAt,
		CreatedAt:   row.CreatedAt,
		Description: row.Description,
		Extends:     row.Extends,
		Name:        row.Name,
		PayloadAge:  time.Duration(row.PayloadAgeMs) * time.Millisecond,
		Payloads:    event.Keep(row.Payloads),
		UpdatedAt:   row.UpdatedAt,
	}
}

func (t *EventType) validate() error {
	refuse := func(field, reason string, args ...any) error {
		return &InvalidEventTypeError{
			Name:   t.Name,
			Field:  field,
			Reason: fmt.Sprintf(reason, args...),
		}
	}
	if err := event.CheckType(t.Name); err != nil {
		return refuse("Name", "%v", err)
	}
	if eventtype.IsReserved(t.Name) {
		return refuse("Name", `must not begin with %q: such types are Riverhook's own`, eventtype.ReservedPrefix)
	}
	if bad := checkText("Description", t.Description, maxDescriptionChars); bad != nil {
		return refuse("Description", "%s", bad.Reason)
	}
	if len(t.Extends) > maxExtends {
		return refuse("Extends", "has %d types; at most %d are allowed", len(t.Extends), maxExtends)
	}
	for i, umbrella := range t.Extends {
		if err := event.CheckType(umbrella); err != nil {
			return refuse("Extends", "%v", err)
		}
		if eventtype.IsReserved(umbrella) {
			return refuse("Extends", "names %q, a type of Riverhook's own", umbrella)
		}
		if slices.Contains(t.Extends[:i], umbrella) {
			return refuse("Extends", "names %q twice", umbrella)
		}
	}
	switch t.Payloads {
	case "", event.KeepBody, event.KeepHash, event.KeepNothing:
	default:
		return refuse("Payloads", "%q is none of body, hash and nothing", t.Payloads)
	}
	if t.PayloadAge < 0 || t.PayloadAge%time.Millisecond != 0 {
		return refuse("PayloadAge", "%v is not a number of milliseconds from 0 on", t.PayloadAge)
	}
	if t.PayloadAge > 0 && t.Payloads != event.KeepHash && t.Payloads != event.KeepNothing {
		return refuse("PayloadAge", "needs Payloads of hash or nothing")
	}
	for i := range t.Schemas {
		if err := t.Schemas[i].check(); err != nil {
			return refuse("Schemas", "version %d: %v", t.Schemas[i].Version, err)
		}
	}
	return nil
}

// extensions has the types that each type extends directly.
type extensions map[string][]string

// umbrellas returns all types that name extends, directly or through others,
// sorted. A cycle is an error that shows it.
func (e extensions) umbrellas(name string) ([]string, error) {
	all := map[string]struct{}{}
	var walk func(path []string) error
	walk = func(path []string) error {
		for _, umbrella := range e[path[len(path)-1]] {
			if umbrella == name {
				return &InvalidEventTypeError{
					Name:   name,
					Field:  "Extends",
					Reason: "is a cycle: " + strings.Join(append(path, name), " extends "),
				}
			}
			if _, seen := all[umbrella]; seen {
				continue
			}
			all[umbrella] = struct{}{}
			if err := walk(append(slices.Clip(path), umbrella)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk([]string{name}); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(all))
	for umbrella := range all {
		names = append(names, umbrella)
	}
	slices.Sort(names)
	return names, nil
}

// umbrellaPatterns returns the patterns by which subscriptions to the umbrellas
// of a type are found, sorted.
func umbrellaPatterns(umbrellas []string) []string {
	lists := make([][]string, len(umbrellas))
	for i, umbrella := range umbrellas {
		lists[i] = eventtype.Patterns(umbrella)
	}
	patterns := append([]string{}, slices.Concat(lists...)...) // never nil: the column is not null
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
