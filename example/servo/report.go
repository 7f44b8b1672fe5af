package main

import (
	"fmt"

	"github.com/riverhook/riverhook/example/internal/program"
)

// report is what happened, and what -json prints.
type report struct {
	program.Verdict

	Postgres    string  `json:"postgres"`
	Adjustments []tried `json:"adjustments"`
}

// tried is an adjustment, what its gates said, and what came of it.
type tried struct {
	adjustment

	Gates map[string]string `json:"gates"`
	Made  bool              `json:"made"`
	Told  int               `json:"told"` // to the dashboard
}

func newReport() *report {
	return &report{Verdict: program.Good(), Adjustments: []tried{}}
}

// String implements fmt.Stringer.
func (r *report) String() string {
	made := 0
	for _, t := range r.Adjustments {
		if t.Made {
			made++
		}
	}
	return fmt.Sprintf("All was as it must be: of %d adjustments %d were made and told.", len(r.Adjustments), made)
}
