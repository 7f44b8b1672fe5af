package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// console prints for people, or for programs: then only the report goes to
// standard output.
type console struct {
	json     bool
	out, err io.Writer
	failed   error // the first line that could not be printed
}

// note prints a line; with -json to standard error.
func (c *console) notef(format string, args ...any) {
	to := c.out
	if c.json {
		to = c.err
	}
	c.linef(to, format, args...)
}

func (c *console) printf(format string, args ...any) {
	if !c.json {
		c.linef(c.out, format, args...)
	}
}

func (c *console) linef(to io.Writer, format string, args ...any) {
	if _, err := fmt.Fprintf(to, format+"\n", args...); err != nil && c.failed == nil {
		c.failed = err
	}
}

func (c *console) act(number int, a act) {
	c.printf("%s\nACT %d  %s\n", strings.Repeat("=", tableWidth), number, a.title)
	for _, line := range wrap(a.says, tableWidth) {
		c.printf("%s", line)
	}
	c.printf("")
}

// event prints what became of an event: its history and its explanation.
func (c *console) event(ev event, deliveries []deliveryOf, decisions []decisionOf) {
	c.printf("%s of %s at %s%s\nwebhook-id %s", ev.Type, ev.Resource, ev.Site, from(ev.ActiveSite), ev.ID)
	history := newTable("history", "at", "dialect", "state", "answers", "took")
	for _, d := range deliveries {
		state := d.State
		if d.WasHeld != "" {
			state += " (was held: " + d.WasHeld + ")"
		}
		history.add(d.Subscription, d.Site, d.Dialect, state, statuses(d), took(ev, d))
	}
	explanation := newTable("explanation", "outcome", "why")
	for _, d := range decisions {
		explanation.add(d.Subscription, strings.ReplaceAll(d.Outcome, "_", " "), d.Why)
	}
	c.printf("\n%s\n%s", history, explanation)
}

func from(site string) string {
	if site == "" {
		return ""
	}
	return ", run from " + site
}

// took is the time from the event to the last answer.
func took(ev event, d deliveryOf) string {
	if len(d.Attempts) == 0 {
		return ""
	}
	last := slices.MaxFunc(d.Attempts, func(a, b attemptOf) int { return a.At.Compare(b.At) })
	end := last.At.Add(time.Duration(last.Micros) * time.Microsecond)
	return fmt.Sprintf("%.0f ms", float64(end.Sub(ev.OccurredAt))/float64(time.Millisecond))
}

func (c *console) receivers(r *report) {
	t := newTable("receiver", "requests", "signatures verified")
	for _, seen := range r.Receivers {
		t.add(seen.Subscription, seen.Requests, seen.Verified)
	}
	c.printf("%s\nWHAT THE RECEIVERS WERE SENT\n\n%s", strings.Repeat("=", tableWidth), t)
}

func (c *console) payloads(p *payloads, took time.Duration) {
	t := newTable("sent", "delivered", "bytes", "mismatched", "duplicated", "took")
	t.add(p.Sent, p.Delivered, p.Bytes, p.Mismatched, p.Duplicated, took.Round(time.Millisecond))
	c.printf("%s\nPAYLOADS\n\n%s", strings.Repeat("=", tableWidth), t)
}

// end prints the verdict: a line, or the whole report as JSON.
func (c *console) end(r *report) error {
	for _, problem := range r.Problems {
		c.linef(c.err, "orgdirectory: FAILED: %s", problem)
	}
	if c.json {
		enc := json.NewEncoder(c.out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return errors.Join(c.failed, enc.Encode(r))
	}
	if r.OK {
		c.printf("All was as it must be: %d events, %d deliveries.", len(r.Events), len(r.Deliveries))
	}
	return c.failed
}
