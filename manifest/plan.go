package manifest

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// The kinds of what a manifest keeps.
const (
	kindSite         = "site"
	kindEventType    = "event type"
	kindSubscription = "subscription"
)

// What a plan does.
const (
	ActionAdded       Action = "added"
	ActionChanged     Action = "changed"
	ActionDeactivated Action = "deactivated" // a subscription that the file does not have any more
	ActionReactivated Action = "reactivated" // one that it has again
	ActionUnchanged   Action = "unchanged"
)

// Action is what a plan does with something.
type Action string

var actions = []Action{ActionAdded, ActionChanged, ActionDeactivated, ActionReactivated, ActionUnchanged}

// Plan is what applying a manifest does, or has done. It shows no values.
type Plan struct {
	Manifest string   `json:"manifest"` // its name
	Changes  []Change `json:"changes"`  // sites, event types, subscriptions as the file has them, and then those that it has no more
}

// Change is what happens to one site, event type or subscription.
type Change struct {
	Action Action   `json:"action"`
	Kind   string   `json:"kind"`   // "site", "event type" or "subscription"
	Key    string   `json:"key"`    // a path, the name of a type, the key of a subscription
	Fields []string `json:"fields"` // that change, as the file calls them, sorted
	Note   string   `json:"note"`   // what stays other than one may think, such as "paused"; or ""

	// ID is the subscription's. It is zero of one that a plan would add.
	ID uuid.UUID `json:"id"`
}

// count says how often there is an action.
func (p *Plan) count(action Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == action {
			n++
		}
	}
	return n
}

// Changed says whether anything but ActionUnchanged is in the plan.
func (p *Plan) Changed() bool { return p.count(ActionUnchanged) < len(p.Changes) }

// String is the plan for people: the counts, and a line for each change. What is
// unchanged has one if there is a note.
func (p *Plan) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "manifest %q: ", p.Manifest)
	separator := ""
	for _, action := range actions {
		if n := p.count(action); n > 0 {
			fmt.Fprintf(&out, "%s%d %s", separator, n, action)
			separator = ", "
		}
	}
	if separator == "" {
		out.WriteString("is empty")
	}
	out.WriteString("\n")
	for _, c := range p.Changes {
		if c.Action != ActionUnchanged || c.Note != "" {
			out.WriteString("  " + c.line() + "\n")
		}
	}
	return out.String()
}

// line is the change in a line.
func (c Change) line() string {
	line := fmt.Sprintf("%-11s  %-12s  %s", c.Action, c.Kind, c.Key)
	if len(c.Fields) > 0 {
		line += ": " + strings.Join(c.Fields, ", ")
	}
	if c.Note != "" {
		line += " (" + c.Note + ")"
	}
	return line
}
