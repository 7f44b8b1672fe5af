package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/riverhook/riverhook/example/internal/program"
)

// report is what happened, and what -json prints.
type report struct {
	program.Verdict

	Postgres   string       `json:"postgres"`
	Events     []enqueued   `json:"events"`
	Deliveries []deliveryOf `json:"deliveries"`
	Decisions  []decisionOf `json:"decisions"`
	Receivers  []receiverOf `json:"receivers"`
	Payloads   *payloads    `json:"payloads,omitempty"`
}

// enqueued is an intent that was committed.
type enqueued struct {
	Act        string    `json:"act"`
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Resource   string    `json:"resource"`
	Site       string    `json:"site"`
	ActiveSite string    `json:"active_site,omitempty"`
	OccurredAt time.Time `json:"occurred_at"`
}

// deliveryOf is a delivery of an event, from the history.
type deliveryOf struct {
	EventID      string      `json:"event_id"`
	ID           string      `json:"id"`
	Subscription string      `json:"subscription"`
	Site         string      `json:"site"`
	Dialect      string      `json:"dialect"`
	State        string      `json:"state"`
	WasHeld      string      `json:"was_held,omitempty"`
	Attempts     []attemptOf `json:"attempts"`
}

// attemptOf is one request of a delivery.
type attemptOf struct {
	Number  int       `json:"number"`
	Outcome string    `json:"outcome"`
	Status  int       `json:"status"`
	At      time.Time `json:"at"`
	Micros  int64     `json:"microseconds"`
}

// decisionOf says why a subscription got an event or not.
type decisionOf struct {
	EventID      string `json:"event_id"`
	Subscription string `json:"subscription"`
	Outcome      string `json:"outcome"`
	Why          string `json:"why"`
}

// receiverOf is what a receiver was sent.
type receiverOf struct {
	Subscription string `json:"subscription"`
	Requests     int    `json:"requests"`
	Verified     int    `json:"verified"` // by their signature
}

// newReport has no list that is null.
func newReport() *report {
	return &report{
		Verdict:    program.Good(),
		Events:     []enqueued{},
		Deliveries: []deliveryOf{},
		Decisions:  []decisionOf{},
		Receivers:  []receiverOf{},
	}
}

// String is what is printed when all was as it must be.
func (r *report) String() string {
	return fmt.Sprintf("All was as it must be: %d events, %d deliveries.", len(r.Events), len(r.Deliveries))
}

func (r *report) deliveriesOf(eventID string) []deliveryOf {
	return slices.DeleteFunc(slices.Clone(r.Deliveries), func(d deliveryOf) bool { return d.EventID != eventID })
}

func (r *report) decisionsOf(eventID string) []decisionOf {
	return slices.DeleteFunc(slices.Clone(r.Decisions), func(d decisionOf) bool { return d.EventID != eventID })
}
