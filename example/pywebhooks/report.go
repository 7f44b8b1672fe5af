package main

import (
	"fmt"

	"github.com/riverhook/riverhook/example/internal/program"
)

// report is what happened, and what -json prints.
type report struct {
	program.Verdict

	Postgres   string            `json:"postgres"`
	Triggered  int               `json:"triggered"`
	Challenges map[string]int    `json:"challenges"` // by endpoint
	Posts      map[string]int    `json:"posts"`
	States     map[string]string `json:"states"` // of subscriptions, at the end
}

func newReport() *report {
	return &report{
		Verdict:    program.Good(),
		Challenges: map[string]int{},
		Posts:      map[string]int{},
		States:     map[string]string{},
	}
}

// String implements fmt.Stringer.
func (r *report) String() string {
	posts := 0
	for _, n := range r.Posts {
		posts += n
	}
	return fmt.Sprintf("All was as it must be: %d triggers, %d requests.", r.Triggered, posts)
}
