package subscription

import (
	"encoding/json"
	"fmt"
	"time"
)

// NoRule switches one of the [DeactivationRules] off.
const NoRule = -1

// DeactivationRules say when a subscription is deactivated for its failures: as
// soon as one of the rules holds. In the engine's Config a zero field means the
// default that is named here, in a subscription what the engine has.
//
// Failed attempts are counted in a window, which begins with the first of them. It
// ends with the first success, and when the subscription is activated. An
// attempt that an endpoint has no part in, such as one that was interrupted, is
// neither. An answer 410 deactivates by itself, whatever the rules are.
type DeactivationRules struct {
	// Attempts is the least number of failed attempts in Window: every attempt must
	// have failed for so long. Default: 10. [NoRule]: however long it takes.
	Attempts int `json:"attempts"`

	// Exhausted is how many deliveries in a row must have been exhausted, over
	// at least ExhaustedWindow. Default: 50. [NoRule]: however many.
	Exhausted int `json:"exhausted"`

	// ExhaustedWindow is the least time since the first of them, in whole
	// milliseconds for a subscription. Default: 1 h.
	ExhaustedWindow time.Duration `json:"exhausted_window_ns"`

	// Failures is how many attempts in a row must have failed, in whatever time.
	// Default: [NoRule]. PyWebhooks has 250.
	Failures int `json:"failures"`

	// Unresolvable is how many intents may have met an owner that does not
	// exist, since the activation. Default: 50. [NoRule]: however many.
	Unresolvable int `json:"unresolvable"`

	// Warning is when a warning comes, in percent of what Attempts, Exhausted and
	// Failures ask for: of the time of the first, of the count of the last, of both
	// of the one between. There is one warning in a window, and none before an
	// owner is found unresolvable. 1 to 99. Default: 50. [NoRule]: no warning.
	Warning int `json:"warning"`

	// Window is how long every attempt must have failed, in whole milliseconds for a
	// subscription. Default: 5 days.
	Window time.Duration `json:"window_ns"`
}

// Over returns the rules, with what base has where a field is zero.
func (r DeactivationRules) Over(base DeactivationRules) DeactivationRules {
	for _, field := range []struct{ own, base *int }{
		{&r.Attempts, &base.Attempts},
		{&r.Exhausted, &base.Exhausted},
		{&r.Failures, &base.Failures},
		{&r.Unresolvable, &base.Unresolvable},
		{&r.Warning, &base.Warning},
	} {
		if *field.own == 0 {
			*field.own = *field.base
		}
	}
	if r.ExhaustedWindow == 0 {
		r.ExhaustedWindow = base.ExhaustedWindow
	}
	if r.Window == 0 {
		r.Window = base.Window
	}
	return r
}

// Check returns an [*InvalidError] that names the first field that is
// refused.
func (r DeactivationRules) Check() error {
	refuse := func(field, reason string, args ...any) error {
		return &InvalidError{Field: "Deactivation." + field, Reason: fmt.Sprintf(reason, args...)}
	}
	for _, count := range []struct {
		field string
		n     int
	}{
		{"Attempts", r.Attempts}, {"Exhausted", r.Exhausted}, {"Failures", r.Failures}, {"Unresolvable", r.Unresolvable}, {"Warning", r.Warning},
	} {
		if count.n < NoRule {
			return refuse(count.field, "is %d; must be positive, 0 for the default or -1 for no rule", count.n)
		}
	}
	switch {
	case r.Warning > 99:
		return refuse("Warning", "is %d; must be 1 to 99 percent, 0 for the default or -1 for no rule", r.Warning)
	case r.ExhaustedWindow < 0:
		return refuse("ExhaustedWindow", "is %v; must be positive, or 0 for the default", r.ExhaustedWindow)
	case r.Window < 0:
		return refuse("Window", "is %v; must be positive, or 0 for the default", r.Window)
	}
	return nil
}

// checkDeactivation checks the rules of a subscription.
func checkDeactivation(r *DeactivationRules) error {
	if r == nil {
		return nil
	}
	const fraction = "is %v; must be whole milliseconds"
	switch err := r.Check(); {
	case err != nil:
		return err
	case r.ExhaustedWindow%time.Millisecond != 0:
		return &InvalidError{Field: "Deactivation.ExhaustedWindow", Reason: fmt.Sprintf(fraction, r.ExhaustedWindow)}
	case r.Window%time.Millisecond != 0:
		return &InvalidError{Field: "Deactivation.Window", Reason: fmt.Sprintf(fraction, r.Window)}
	}
	return nil
}

// storedRules are the rules of a subscription as they are stored.
type storedRules struct {
	Attempts          int   `json:"attempts,omitempty"`
	Exhausted         int   `json:"exhausted,omitempty"`
	ExhaustedWindowMs int64 `json:"exhausted_window_ms,omitempty"`
	Failures          int   `json:"failures,omitempty"`
	Unresolvable      int   `json:"unresolvable,omitempty"`
	Warning           int   `json:"warning,omitempty"`
	WindowMs          int64 `json:"window_ms,omitempty"`
}

// deactivationText is never NULL: no rules are an empty object.
func deactivationText(r *DeactivationRules) string {
	if r == nil {
		return "{}"
	}
	text, _ := json.Marshal(storedRules{ //nolint:errchkjson // numbers always encode
		r.Attempts, r.Exhausted, r.ExhaustedWindow.Milliseconds(), r.Failures, r.Unresolvable, r.Warning, r.Window.Milliseconds(),
	})
	return string(text)
}

// deactivationOf returns nil where a subscription has no rules of its own.
func deactivationOf(stored []byte) (*DeactivationRules, error) {
	var s storedRules
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &s); err != nil {
			return nil, err
		}
	}
	if s == (storedRules{}) {
		return nil, nil //nolint:nilnil // no rules
	}
	return &DeactivationRules{
		Attempts:        s.Attempts,
		Exhausted:       s.Exhausted,
		ExhaustedWindow: time.Duration(s.ExhaustedWindowMs) * time.Millisecond,
		Failures:        s.Failures,
		Unresolvable:    s.Unresolvable,
		Warning:         s.Warning,
		Window:          time.Duration(s.WindowMs) * time.Millisecond,
	}, nil
}
