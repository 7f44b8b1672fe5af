package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/example/internal/program"
)

// console prints what the story is about.
type console struct{ *program.Console }

// event prints what became of an event: its history and its explanation.
func (c *console) event(ev enqueued, deliveries []deliveryOf, decisions []decisionOf) {
	c.Printf("%s of %s at %s%s\nwebhook-id %s", ev.Type, ev.Resource, ev.Site, from(ev.ActiveSite), ev.ID)
	history := program.NewTable("history", "at", "dialect", "state", "answers", "took")
	for _, d := range deliveries {
		state := d.State
		if d.WasHeld != "" {
			state += " (was held: " + d.WasHeld + ")"
		}
		history.Add(d.Subscription, d.Site, d.Dialect, state, statuses(d), took(ev, d))
	}
	explanation := program.NewTable("explanation", "outcome", "why")
	for _, d := range decisions {
		explanation.Add(d.Subscription, strings.ReplaceAll(d.Outcome, "_", " "), d.Why)
	}
	c.Printf("\n%s\n%s", history, explanation)
}

func from(site string) string {
	if site == "" {
		return ""
	}
	return ", run from " + site
}

// took is the time from the event to the last answer.
func took(ev enqueued, d deliveryOf) string {
	if len(d.Attempts) == 0 {
		return ""
	}
	last := slices.MaxFunc(d.Attempts, func(a, b attemptOf) int { return a.At.Compare(b.At) })
	end := last.At.Add(time.Duration(last.Micros) * time.Microsecond)
	return fmt.Sprintf("%.0f ms", float64(end.Sub(ev.OccurredAt))/float64(time.Millisecond))
}

func (c *console) receivers(r *report) {
	t := program.NewTable("receiver", "requests", "signatures verified")
	for _, seen := range r.Receivers {
		t.Add(seen.Subscription, seen.Requests, seen.Verified)
	}
	c.Head("WHAT THE RECEIVERS WERE SENT")
	c.Printf("%s", t)
}

func (c *console) payloads(p *payloads, took time.Duration) {
	t := program.NewTable("sent", "delivered", "bytes", "mismatched", "duplicated", "took")
	t.Add(p.Sent, p.Delivered, p.Bytes, p.Mismatched, p.Duplicated, took.Round(time.Millisecond))
	c.Head("PAYLOADS")
	c.Printf("%s", t)
}
