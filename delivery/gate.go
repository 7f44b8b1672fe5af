package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/gates"
)

// Errors of Ask, for errors.Is.
var (
	// ErrVetoed means that a gate said no. See [*VetoError].
	ErrVetoed = errors.New("vetoed")

	// ErrUnanswered means that no gate said no, and that one of those which fail
	// closed could not be asked, or did not answer in time. See [*UnansweredError].
	ErrUnanswered = errors.New("a gate has not answered")
)

// GateOutcome is what a gate said to a question.
type GateOutcome = gates.Outcome

// The outcomes of a gate.
const (
	GateAgreed     GateOutcome = gates.Agreed     // it answered 2xx
	GateNotAsked   GateOutcome = gates.NotAsked   // it does not vote: not in force, or its owner may not see the resource
	GateUnanswered GateOutcome = gates.Unanswered // it could not be asked, or did not answer well in time
	GateVetoed     GateOutcome = gates.Vetoed     // it answered 2xx and the content type of a veto
)

// Gate is a subscription that a question matched, and what it said.
type Gate struct {
	SubscriptionID uuid.UUID   `json:"subscription_id"`
	Name           string      `json:"name"` // of the subscription
	Outcome        GateOutcome `json:"outcome"`

	// Reason is the gate's own words of a veto, at most 500 printable characters, or that it
	// gave none; else why it did not agree.
	Reason string `json:"reason"`

	FailClosed bool      `json:"fail_closed"`
	DeliveryID uuid.UUID `json:"delivery_id"` // of the request in the history; zero: none was made
}

// text is how an error names the gate.
func (g Gate) text() string {
	text := "subscription " + g.SubscriptionID.String()
	if g.Name != "" {
		text = fmt.Sprintf("%q (%s)", g.Name, g.SubscriptionID)
	}
	if g.Reason == "" {
		return text + ": " + attempt.SilentVeto
	}
	return text + ": " + g.Reason
}

// Answer is what came of a question.
type Answer struct {
	// ID is the wire id of the question, for History and Explain; "" where no
	// subscription matched, which leaves no record.
	ID string `json:"id"`

	// Gates are the subscriptions that matched, in the order of their ids.
	Gates []Gate `json:"gates"`

	// Unrecorded is why the history does not know of the question; nil where it does.
	// In JSON it is its text, and left out where it is nil.
	Unrecorded error `json:"unrecorded"`
}

// newAnswer is what came of a question.
func newAnswer(id string, asked []gates.Gate, unrecorded error) *Answer {
	answer := &Answer{
		ID:         id,
		Gates:      make([]Gate, len(asked)),
		Unrecorded: unrecorded,
	}
	for i, g := range asked {
		answer.Gates[i] = Gate(g)
	}
	return answer
}

// MarshalJSON implements [json.Marshaler].
func (a Answer) MarshalJSON() ([]byte, error) {
	type fields Answer
	out := struct {
		fields

		Unrecorded string `json:"unrecorded,omitempty"`
	}{fields: fields(a)}
	if a.Unrecorded != nil {
		out.Unrecorded = a.Unrecorded.Error()
	}
	return json.Marshal(out)
}

// VetoError names the gates that said no. It is an [ErrVetoed].
type VetoError struct {
	ID     string // of the question, for History and Explain
	Vetoes []Gate // in the order of the subscriptions' ids
}

// Error names each veto with its reason.
func (e *VetoError) Error() string { return naming("vetoed", e.ID, e.Vetoes) }

// Is makes the error an [ErrVetoed].
func (e *VetoError) Is(target error) bool { return target == ErrVetoed }

// UnansweredError names the gates that fail closed and have not answered. It is an
// [ErrUnanswered].
type UnansweredError struct {
	ID    string // of the question, for History and Explain
	Gates []Gate // in the order of the subscriptions' ids
}

// Error names each gate, and why it has not answered.
func (e *UnansweredError) Error() string { return naming("not answered", e.ID, e.Gates) }

// Is makes the error an [ErrUnanswered].
func (e *UnansweredError) Is(target error) bool { return target == ErrUnanswered }

func naming(what, id string, these []Gate) string {
	texts := make([]string, len(these))
	for i, g := range these {
		texts[i] = g.text()
	}
	return fmt.Sprintf("delivery: question %s: %s by %s", id, what, strings.Join(texts, "; "))
}

// misses is true where a gate has not answered.
func (a Answer) misses() bool {
	return slices.ContainsFunc(a.Gates, func(g Gate) bool { return g.Outcome == GateUnanswered })
}

// verdict is the error that follows from what the gates said; nil lets it be done. A
// veto stands whatever the others say.
func (a Answer) verdict() error {
	var vetoes, missing []Gate
	for _, g := range a.Gates {
		switch {
		case g.Outcome == GateVetoed:
			vetoes = append(vetoes, g)
		case g.Outcome == GateUnanswered && g.FailClosed:
			missing = append(missing, g)
		}
	}
	switch {
	case vetoes != nil:
		return &VetoError{ID: a.ID, Vetoes: vetoes}
	case missing != nil:
		return &UnansweredError{ID: a.ID, Gates: missing}
	default:
		return nil
	}
}
