package callbacks

import (
	"encoding/json"
	"fmt"
	"maps"
)

// MaxEndedRuns is how many runs may end their process in one step, alone and
// without progress, before the step is given up.
const MaxEndedRuns = 3

// EndedRuns is what is recorded of the runs of an expansion, of decisions or of an
// attempt that did not return from host code.
type EndedRuns struct {
	Runs   map[string]int `json:"runs,omitempty"`   // by step: how many began it alone and did not return
	Unsent bool           `json:"unsent,omitempty"` // no request has gone out since an attempt was recorded as interrupted
}

// ParseEndedRuns reads what Text wrote.
func ParseEndedRuns(text string) (r EndedRuns, err error) {
	if text == "" {
		return r, nil
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("ended runs: %w", err)
	}
	return r, nil
}

// Empty reports whether there is nothing to record.
func (r EndedRuns) Empty() bool { return len(r.Runs) == 0 && !r.Unsent }

// Text is what is recorded; "" if r is empty.
func (r EndedRuns) Text() string {
	if r.Empty() {
		return ""
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // never: it is made of texts and numbers
	}
	return string(text)
}

// GivenUp is what remains of r after progress: the steps that are not tried again.
func (r EndedRuns) GivenUp() EndedRuns {
	runs := maps.Clone(r.Runs)
	maps.DeleteFunc(runs, func(_ string, n int) bool { return n < MaxEndedRuns })
	return EndedRuns{Runs: runs}
}

// Merge is r and other, of two things that one run does together.
func (r EndedRuns) Merge(other EndedRuns) EndedRuns {
	if len(other.Runs) == 0 {
		return r
	}
	runs := maps.Clone(r.Runs)
	if runs == nil {
		runs = map[string]int{}
	}
	for name, n := range other.Runs {
		runs[name] = max(runs[name], n)
	}
	return EndedRuns{Runs: runs, Unsent: r.Unsent}
}

// begin is r while a run is in a step.
func (r EndedRuns) begin(name string) EndedRuns {
	runs := maps.Clone(r.Runs)
	if runs == nil {
		runs = map[string]int{}
	}
	runs[name]++
	return EndedRuns{Runs: runs, Unsent: r.Unsent}
}
