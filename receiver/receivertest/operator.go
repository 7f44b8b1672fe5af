package receivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/riverhook/riverhook/receiver"
)

// fails has the Func fail until the returned function is called.
func (s *suite) fails() (mend func()) {
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, fmt.Errorf("no luck: %w", receiver.ErrPermanent)
	})
	return func() {
		s.does(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	}
}

// failed is an event that has failed for good.
func (s *suite) failed(ev receiver.Event) receiver.Ref {
	s.Helper()
	r := s.add(ev)
	if ev.Receiver == "sync" {
		if _, err := s.inbox.Run(s.Context(), r); err != nil {
			s.Fatalf("Run: %v", err)
		}
	}
	s.becomes(r, receiver.Failed)
	return r
}

func againAfterFailure(s *suite) {
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, errors.New("no luck")
	})
	first := s.event("async", "d1")
	r := s.failed(first)
	again := s.event("async", "d1")
	again.Body = []byte(`"another body"`)

	status, opened, err := s.inbox.Add(s.Context(), again)

	s.checkf(err == nil && opened && status.ID == r.ID && status.State == receiver.Pending, "Add: %+v, %v, %v", status, opened, err)
	s.until("three more attempts", func() bool { return s.status(r).State == receiver.Failed && s.status(r).Attempts == 6 })
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	status, opened, err = s.inbox.Add(s.Context(), s.event("async", "d1"))
	s.checkf(err == nil && opened && status.ID == r.ID, "Add: %+v, %v, %v", status, opened, err)
	status = s.becomes(r, receiver.Done)
	ran := s.ran()
	last := ran[len(ran)-1]
	s.checkf(status.Attempts == 7 && status.Error == "" && len(ran) == 7, "%+v, %d runs", status, len(ran))
	s.checkf(last.ID == first.ID && last.Attempt == 7 && bytes.Equal(last.Body, first.Body) &&
		fmt.Sprint(last.Header) == fmt.Sprint(first.Header), "the Func got %+v", last)
	status, opened, err = s.inbox.Add(s.Context(), s.event("async", "d1"))
	s.checkf(err == nil && !opened && status.State == receiver.Done, "Add of one that is done: %+v, %v, %v", status, opened, err)
}

func oneOfFiftyAgain(s *suite) {
	mend := s.fails()
	r := s.failed(s.event("async", "d1"))
	mend()
	const n = 50
	events := make([]receiver.Event, n)
	for i := range events {
		events[i] = s.event("async", "d1")
	}
	var group sync.WaitGroup
	ids := make([]string, n)
	opened := make([]bool, n)
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			var status receiver.Status
			status, opened[i], errs[i] = s.inbox.Add(s.Context(), events[i])
			ids[i] = status.ID
		})
	}
	group.Wait()

	rounds := 0
	for i := range n {
		s.checkf(errs[i] == nil && ids[i] == r.ID, "Add: %v; %s beside %s", errs[i], ids[i], r.ID)
		if opened[i] {
			rounds++
		}
	}
	s.checkf(rounds == 1, "%d opened it", rounds)
	s.becomes(r, receiver.Done)
	s.checkf(len(s.ran()) == 2, "it ran %d times", len(s.ran()))
}

func syncAgainWaitsForRun(s *suite) {
	mend := s.fails()
	r := s.failed(s.event("sync", "d1"))
	mend()

	status, opened, err := s.inbox.Add(s.Context(), s.event("sync", "d1"))

	s.checkf(err == nil && opened && status.ID == r.ID && status.State == receiver.Pending && len(s.ran()) == 1,
		"Add: %+v, %v, %v", status, opened, err)
	status, err = s.inbox.Run(s.Context(), r)
	s.checkf(err == nil && status.State == receiver.Done && status.Attempts == 2 && len(s.ran()) == 2, "Run: %+v, %v", status, err)
}

func deletedAfterFailure(s *suite) {
	mend := s.fails()
	r := s.failed(s.event("async", "d1"))
	mend()
	_, err := s.inbox.Delete(s.Context(), r)
	s.checkf(err == nil, "Delete: %v", err)

	status, opened, err := s.inbox.Add(s.Context(), s.event("async", "d1"))

	s.checkf(err == nil && !opened && status.State == receiver.Gone && len(s.ran()) == 1, "Add: %+v, %v, %v", status, opened, err)
}

// operator is the inbox where it is one; the checks of one that is none pass.
func (s *suite) operator() (receiver.Operator, bool) {
	op, ok := s.inbox.(receiver.Operator)
	return op, ok
}

func retriesOne(s *suite) {
	op, ok := s.operator()
	if !ok {
		return
	}
	mend := s.fails()
	owned := s.event("async", "d1")
	owned.Owner = "ann"
	r, inRequest := s.failed(owned), s.failed(s.event("sync", "d1"))
	mend()

	status, err := op.Retry(s.Context(), r.ID)

	s.checkf(err == nil && status.ID == r.ID && status.Owner == "ann" && status.Receiver == "async", "Retry: %+v, %v", status, err)
	status = s.becomes(r, receiver.Done)
	s.checkf(status.Attempts == 2 && status.Error == "", "%+v", status)
	_, err = op.Retry(s.Context(), inRequest.ID)
	s.checkf(err == nil, "Retry of a Sync event: %v", err)
	s.becomes(inRequest, receiver.Done)
	_, err = op.Retry(s.Context(), r.ID)
	s.checkf(errors.Is(err, receiver.ErrEnded), "Retry of one that is done: %v", err)
	_, err = s.inbox.Delete(s.Context(), r)
	s.checkf(err == nil, "Delete: %v", err)
	_, err = op.Retry(s.Context(), r.ID)
	s.checkf(errors.Is(err, receiver.ErrEnded), "Retry of one that was deleted: %v", err)
	for _, id := range []string{"", "1", "00000000-0000-4000-8000-999999999999"} {
		_, err = op.Retry(s.Context(), id)
		s.checkf(errors.Is(err, receiver.ErrNotFound), "Retry of %q: %v", id, err)
	}
	s.checkf(len(s.ran()) == 4, "there were %d runs", len(s.ran()))
}

func retriesMany(s *suite) {
	op, ok := s.operator()
	if !ok {
		return
	}
	s.add(s.event("async", "done"))
	s.until("one that is done", func() bool { return len(s.ran()) == 1 })
	mend := s.fails()
	owned := s.event("async", "anns")
	owned.Owner = "ann"
	anns := s.failed(owned)
	other := s.failed(s.event("sync", "d1"))
	bobs := s.failed(s.event("async", "d2"))

	for i, filter := range []receiver.EventFilter{
		{Receiver: "elsewhere"}, {Owner: "nobody"}, {Since: time.Now().Add(time.Hour)}, {Until: time.Now().Add(-time.Hour)},
	} {
		n, err := op.RetryMany(s.Context(), filter)
		s.checkf(err == nil && n == 0, "RetryMany of none (%d): %d, %v", i, n, err)
	}
	mend()
	n, err := op.RetryMany(s.Context(), receiver.EventFilter{
		Owner:    "ann",
		Receiver: "async",
		Since:    time.Now().Add(-time.Hour),
		State:    receiver.Failed,
	})
	s.checkf(err == nil && n == 1, "RetryMany of ann's: %d, %v", n, err)
	s.becomes(anns, receiver.Done)
	s.checkf(s.status(other).State == receiver.Failed && s.status(bobs).State == receiver.Failed, "others were retried")
	n, err = op.RetryMany(s.Context(), receiver.EventFilter{})
	s.checkf(err == nil && n == 2, "RetryMany of all: %d, %v", n, err)
	s.becomes(other, receiver.Done)
	s.becomes(bobs, receiver.Done)
	s.checkf(len(s.ran()) == 7, "there were %d runs", len(s.ran()))
}

func (s *suite) list(op receiver.Operator, filter receiver.EventFilter) receiver.EventPage {
	s.Helper()
	page, err := op.List(s.Context(), filter)
	if err != nil {
		s.Fatalf("List: %v", err)
	}
	return page
}

func listsPages(s *suite) {
	op, ok := s.operator()
	if !ok {
		return
	}
	var want []string
	for i := range 7 {
		want = append([]string{s.add(s.event("async", strconv.Itoa(i))).ID}, want...)
	}

	for _, limit := range []int{0, 1, 3, 7} {
		var got []string
		for filter := (receiver.EventFilter{Limit: limit}); ; {
			page := s.list(op, filter)
			s.checkf(limit == 0 || len(page.Events) <= limit, "a page of %d", len(page.Events))
			for _, e := range page.Events {
				got = append(got, e.ID)
			}
			if filter.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		s.checkf(strings.Join(got, " ") == strings.Join(want, " "), "pages of %d are\n%v, not\n%v", limit, got, want)
	}
}

func listsFiltered(s *suite) {
	op, ok := s.operator()
	if !ok {
		return
	}
	done := s.add(s.event("async", "done"))
	s.becomes(done, receiver.Done)
	s.fails()
	owned := s.event("async", "d1")
	owned.Owner = "ann"
	anns := s.failed(owned)
	gone := s.add(s.event("sync", "gone"))
	_, err := s.inbox.Delete(s.Context(), gone)
	s.checkf(err == nil, "Delete: %v", err)
	pending := s.add(s.event("sync", "pending"))

	for _, tt := range []struct {
		name   string
		filter receiver.EventFilter
		want   []receiver.Ref
	}{
		{"all", receiver.EventFilter{}, []receiver.Ref{pending, gone, anns, done}},
		{"done", receiver.EventFilter{State: receiver.Done}, []receiver.Ref{done}},
		{"failed", receiver.EventFilter{State: receiver.Failed}, []receiver.Ref{anns}},
		{"gone", receiver.EventFilter{State: receiver.Gone}, []receiver.Ref{gone}},
		{"pending", receiver.EventFilter{State: receiver.Pending}, []receiver.Ref{pending}},
		{"receiver", receiver.EventFilter{Receiver: "async"}, []receiver.Ref{anns, done}},
		{"owner", receiver.EventFilter{Owner: "ann"}, []receiver.Ref{anns}},
		{"nobody", receiver.EventFilter{Owner: "bob"}, nil},
		{"since", receiver.EventFilter{Since: time.Now().Add(-time.Hour)}, []receiver.Ref{pending, gone, anns, done}},
		{"too late", receiver.EventFilter{Since: time.Now().Add(time.Hour)}, nil},
		{"too early", receiver.EventFilter{Until: time.Now().Add(-time.Hour)}, nil},
		{"all at once", receiver.EventFilter{
			Owner:    "ann",
			Receiver: "async",
			State:    receiver.Failed,
			Since:    time.Now().Add(-time.Hour),
			Until:    time.Now().Add(time.Hour),
		}, []receiver.Ref{anns}},
	} {
		page := s.list(op, tt.filter)
		var got []receiver.Ref
		for _, e := range page.Events {
			got = append(got, receiver.Ref{
				Receiver: e.Receiver,
				Owner:    e.Owner,
				ID:       e.ID,
			})
		}
		s.checkf(fmt.Sprint(got) == fmt.Sprint(tt.want) && page.Next == "", "%s: %v, not %v", tt.name, got, tt.want)
	}
	failed := s.list(op, receiver.EventFilter{State: receiver.Failed}).Events[0]
	s.checkf(failed.DeliveryID == "d1" && failed.ContentType == "application/json" && failed.Attempts == 1 &&
		strings.Contains(failed.Error, "no luck") && !failed.ReceivedAt.IsZero() && failed.EndedAt != nil && failed.DueAt == nil, "%+v", failed)
	waits := s.list(op, receiver.EventFilter{State: receiver.Pending}).Events[0]
	s.checkf(waits.DueAt != nil && waits.DueAt.After(waits.ReceivedAt) && waits.EndedAt == nil && waits.Attempts == 0, "%+v", waits)
	at := s.list(op, receiver.EventFilter{}).Events[1].ReceivedAt
	s.checkf(len(s.list(op, receiver.EventFilter{Since: at}).Events) == 2, "Since does not include its time")
	s.checkf(len(s.list(op, receiver.EventFilter{Until: at}).Events) == 2, "Until includes its time")
}

func refusesFilters(s *suite) {
	op, ok := s.operator()
	if !ok {
		return
	}
	for field, filter := range map[string]receiver.EventFilter{
		"Cursor":   {Cursor: "x"},
		"Limit":    {Limit: 1001},
		"Owner":    {Owner: "\x00"},
		"Receiver": {Receiver: "\xff"},
		"State":    {State: "lost"},
	} {
		_, err := op.List(s.Context(), filter)
		s.checkf(errors.Is(err, receiver.ErrInvalidFilter) && strings.Contains(err.Error(), field+":"), "List: %v", err)
	}
	for field, filter := range map[string]receiver.EventFilter{
		"Cursor":   {Cursor: "x"},
		"Limit":    {Limit: 1},
		"Receiver": {Receiver: "\xff"},
		"State":    {State: receiver.Done},
	} {
		_, err := op.RetryMany(s.Context(), filter)
		s.checkf(errors.Is(err, receiver.ErrInvalidFilter) && strings.Contains(err.Error(), field+":"), "RetryMany: %v", err)
	}
}
