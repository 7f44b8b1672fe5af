package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	delivered  = "delivered"
	denied     = "denied"
	notMatched = "not_matched"
)

// expected is what must become of an event: by the name of a subscription the
// statuses of its attempts ("500 502 204"), or that it was denied. Who is not in
// it must have got nothing.
type expected map[string]string

// everyoneGot says that each of them got the event at the first attempt.
func everyoneGot(names ...string) expected {
	e := expected{}
	for _, name := range names {
		e[name] = "204"
	}
	return e
}

func (e expected) with(name, what string) expected {
	e = maps.Clone(e)
	e[name] = what
	return e
}

// deliveries is how many there must be.
func (e expected) deliveries() int {
	n := 0
	for _, what := range e {
		if what != denied {
			n++
		}
	}
	return n
}

// check compares what the history and the explanation say with what must be.
func (r *report) check(ev enqueued, want expected) {
	got := map[string]string{}
	for _, d := range r.deliveriesOf(ev.ID) {
		got[d.Subscription] = statuses(d)
		r.Expectf(d.State == delivered, "%s %s: the delivery to the %s is %s", ev.Type, ev.Resource, d.Subscription, d.State)
	}
	explained := map[string]string{}
	for _, d := range r.decisionsOf(ev.ID) {
		explained[d.Subscription] = d.Outcome
		r.Expectf(d.Why != "", "%s %s: no reason is given for the %s", ev.Type, ev.Resource, d.Subscription)
		if d.Outcome == denied {
			got[d.Subscription] = denied
		}
	}
	for _, name := range names(want, got) {
		r.Expectf(want[name] == got[name], "%s %s: %s: want %s, got %s", ev.Type, ev.Resource, name, or(want[name]), or(got[name]))
	}
	for _, name := range names(want, explained) {
		outcome := delivered
		if what, ok := want[name]; !ok {
			outcome = notMatched
		} else if what == denied {
			outcome = denied
		}
		r.Expectf(explained[name] == outcome, "%s %s: the explanation says of the %s: %s, not %s",
			ev.Type, ev.Resource, name, or(explained[name]), outcome)
	}
}

// checkRequests compares what receivers were really sent, request by request,
// with what was expected of all events: no other request may have been made.
func (r *report) checkRequests(w *world, want map[string]expected) {
	for _, m := range w.members {
		left := map[string]int{}
		for id, e := range want {
			if what := e[m.name]; what != "" && what != denied {
				left[id] = len(strings.Fields(what))
			}
		}
		seen := receiverOf{Subscription: m.name}
		for _, req := range m.receiver.Requests() {
			seen.Requests++
			if req.Err == nil {
				seen.Verified++
			}
			left[req.ID()]--
			r.Expectf(req.Err == nil, "%s: request %d: %v", m.name, req.Number, req.Err)
			r.Expectf(r.about(req.ID(), req.Body), "%s: request %d: the body is not about its event: %s", m.name, req.Number, req.Body)
		}
		for id, n := range left {
			r.Expectf(n == 0, "%s: event %s: %+d requests differ from what was expected", m.name, id, -n)
		}
		r.Receivers = append(r.Receivers, seen)
	}
}

// about says whether a body in one of the two dialects of the story is about
// the event of that id.
func (r *report) about(id string, body []byte) bool {
	i := slices.IndexFunc(r.Events, func(ev enqueued) bool { return ev.ID == id })
	if i < 0 {
		return false
	}
	var got struct {
		Type string `json:"type"`
		Data struct {
			ID string `json:"id"`
		} `json:"data"`

		Change   string `json:"change"`
		Employee string `json:"employee"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return false
	}
	ev := r.Events[i]
	return got.Type+got.Change == ev.Type && "user:"+got.Data.ID+got.Employee == ev.Resource
}

func statuses(d deliveryOf) string {
	all := make([]string, len(d.Attempts))
	for i, a := range d.Attempts {
		if all[i] = a.Outcome; a.Status != 0 {
			all[i] = strconv.Itoa(a.Status)
		}
	}
	return strings.Join(all, " ")
}

func names(some, others map[string]string) []string {
	all := maps.Clone(some)
	maps.Copy(all, others)
	return slices.Sorted(maps.Keys(all))
}

func or(what string) string {
	if what == "" {
		return "nothing"
	}
	return what
}
