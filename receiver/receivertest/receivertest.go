// Package receivertest checks implementations of receiver.Inbox.
package receivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/riverhook/riverhook/receiver"
)

// patience is what a test waits for before it fails.
const patience = 30 * time.Second

// Run checks that an implementation keeps the contract of [receiver.Inbox], and that of
// [receiver.Operator] where it is one. open returns a new, empty inbox that processes the
// events of the receivers in registry, and closes it when the test ends.
func Run(t *testing.T, open func(t *testing.T, registry *receiver.Registry) receiver.Inbox) {
	for _, check := range []struct {
		name string
		run  func(s *suite)
	}{
		{"an event is processed once and its answer is kept", processesOnce},
		{"of fifty that come at once one is processed", oneOfFifty},
		{"the same delivery id of another receiver or owner is another event", idsAreScoped},
		{"events without a delivery id are all different", withoutIDAllDiffer},
		{"a Func that fails is run again", runsAgain},
		{"a Func that fails too often has failed for good", failsForGood},
		{"a permanent error is not tried again", permanentError},
		{"a panic is an error of that event alone", panics},
		{"a Sync event waits for Run", syncWaitsForRun},
		{"a Sync event that fails is processed later", syncFailsOver},
		{"progress is reported while the Func runs", reportsProgress},
		{"an event is another's to nobody else", othersSeeNothing},
		{"a deleted event is not processed", deleteBeforeRun},
		{"an attempt under way of a deleted event is told and changes nothing", deleteWhileRunning},
		{"a failed event whose delivery comes again is tried anew", againAfterFailure},
		{"of fifty deliveries that come again at once one is tried anew", oneOfFiftyAgain},
		{"a failed Sync event whose delivery comes again waits for Run", syncAgainWaitsForRun},
		{"a failed event that was deleted is not tried anew", deletedAfterFailure},
		{"an operator retries an event", retriesOne},
		{"an operator retries events by a filter", retriesMany},
		{"an operator lists events page by page, newest first", listsPages},
		{"an operator lists events by a filter", listsFiltered},
		{"a filter that makes no sense is refused", refusesFilters},
	} {
		t.Run(check.name, func(t *testing.T) {
			t.Parallel()
			check.run(newSuite(t, open))
		})
	}
}

// suite is an inbox with the receivers "async" and "sync", whose Func the test sets.
type suite struct {
	*testing.T

	inbox receiver.Inbox
	ids   int

	mu   sync.Mutex
	runs []receiver.Event
	fn   receiver.Func
}

func newSuite(t *testing.T, open func(t *testing.T, registry *receiver.Registry) receiver.Inbox) *suite {
	t.Helper()
	s := &suite{T: t}
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) { return receiver.Response{}, nil })
	registry := &receiver.Registry{}
	for _, name := range []string{"async", "sync"} {
		err := registry.Register(receiver.Receiver{
			Backoff:     func(int) time.Duration { return time.Millisecond },
			Func:        s.run,
			MaxAttempts: 3,
			Name:        name,
			Sync:        name == "sync",
			Timeout:     10 * time.Second,
			Tokens:      receiver.StaticTokens{},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.inbox = open(t, registry)
	return s
}

func (s *suite) does(fn receiver.Func) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fn = fn
}

func (s *suite) run(ctx context.Context, ev receiver.Event) (receiver.Response, error) {
	s.mu.Lock()
	s.runs = append(s.runs, ev)
	fn := s.fn
	s.mu.Unlock()
	return fn(ctx, ev)
}

func (s *suite) ran() []receiver.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]receiver.Event(nil), s.runs...)
}

func (s *suite) event(name, deliveryID string) receiver.Event {
	s.ids++
	return receiver.Event{
		ID:          fmt.Sprintf("00000000-0000-4000-8000-%012d", s.ids),
		Receiver:    name,
		DeliveryID:  deliveryID,
		ContentType: "application/json",
		Header:      map[string][]string{"X-Kind": {"a", "b"}},
		Body:        []byte(`{"b": 1, "a":"\u00e9"}`),
	}
}

func (s *suite) add(ev receiver.Event) receiver.Ref {
	s.Helper()
	status, added, err := s.inbox.Add(s.Context(), ev)
	if err != nil || !added || status.ID != ev.ID || status.State == receiver.Gone {
		s.Fatalf("Add: %+v, %v, %v", status, added, err)
	}
	return ref(ev)
}

func ref(ev receiver.Event) receiver.Ref {
	return receiver.Ref{
		Receiver: ev.Receiver,
		Owner:    ev.Owner,
		ID:       ev.ID,
	}
}

func (s *suite) status(r receiver.Ref) receiver.Status {
	s.Helper()
	status, err := s.inbox.Status(s.Context(), r)
	if err != nil {
		s.Fatalf("Status: %v", err)
	}
	return status
}

// until waits for what processing brings about.
func (s *suite) until(what string, reached func() bool) {
	s.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-end.C:
			s.Fatalf("not reached: %s", what)
		case <-tick.C:
		}
	}
}

func (s *suite) becomes(r receiver.Ref, state receiver.State) receiver.Status {
	s.Helper()
	s.until(string(state), func() bool { return s.status(r).State == state })
	return s.status(r)
}

func (s *suite) checkf(ok bool, format string, args ...any) {
	s.Helper()
	if !ok {
		s.Fatalf(format, args...)
	}
}

func processesOnce(s *suite) {
	answer := receiver.Response{
		Status:      299,
		ContentType: "text/plain",
		Body:        []byte("all of it\n"),
	}
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) { return answer, nil })
	ev := s.event("async", "d1")

	status := s.becomes(s.add(ev), receiver.Done)

	s.checkf(status.Response.Status == 299 && string(status.Response.Body) == "all of it\n" && status.Response.ContentType == "text/plain",
		"the answer became %+v", status.Response)
	again := s.event("async", "d1")
	status, added, err := s.inbox.Add(s.Context(), again)
	s.checkf(err == nil && !added && status.ID == ev.ID && status.State == receiver.Done, "the second Add: %+v, %v, %v", status, added, err)
	ran := s.ran()
	s.checkf(len(ran) == 1, "it ran %d times", len(ran))
	got := ran[0]
	s.checkf(got.ID == ev.ID && got.Receiver == "async" && got.DeliveryID == "d1" && got.Attempt == 1 && !got.ReceivedAt.IsZero() &&
		got.ContentType == ev.ContentType && bytes.Equal(got.Body, ev.Body) && fmt.Sprint(got.Header) == fmt.Sprint(ev.Header),
		"the Func got %+v", got)
}

func oneOfFifty(s *suite) {
	const n = 50
	events := make([]receiver.Event, n)
	for i := range events {
		events[i] = s.event("async", "d1")
	}
	var group sync.WaitGroup
	ids := make([]string, n)
	added := make([]bool, n)
	errs := make([]error, n)
	for i := range n {
		group.Go(func() {
			var status receiver.Status
			status, added[i], errs[i] = s.inbox.Add(s.Context(), events[i])
			ids[i] = status.ID
		})
	}
	group.Wait()

	first := -1
	for i := range n {
		s.checkf(errs[i] == nil && ids[i] == ids[0], "Add: %v; %s beside %s", errs[i], ids[i], ids[0])
		if added[i] {
			s.checkf(first < 0, "two were added")
			first = i
		}
	}
	s.checkf(first >= 0 && events[first].ID == ids[0], "none was added, or another is named")
	s.becomes(ref(events[first]), receiver.Done)
	s.checkf(len(s.ran()) == 1, "it ran %d times", len(s.ran()))
}

func idsAreScoped(s *suite) {
	owned := s.event("async", "d1")
	owned.Owner = "ann"

	for _, ev := range []receiver.Event{s.event("async", "d1"), s.event("sync", "d1"), owned} {
		s.add(ev)
	}
}

func withoutIDAllDiffer(s *suite) {
	one, two := s.add(s.event("async", "")), s.add(s.event("async", ""))

	s.becomes(one, receiver.Done)
	s.becomes(two, receiver.Done)
}

func runsAgain(s *suite) {
	s.does(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt < 3 {
			return receiver.Response{Status: 299}, errors.New("not yet")
		}
		return receiver.Response{}, nil
	})

	status := s.becomes(s.add(s.event("async", "d1")), receiver.Done)

	s.checkf(status.Attempts == 3 && status.Error == "" && status.Response.Status != 299, "%+v", status)
}

func failsForGood(s *suite) {
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, errors.New("no luck")
	})

	status := s.becomes(s.add(s.event("async", "d1")), receiver.Failed)

	s.checkf(status.Attempts == 3 && status.Error == "receiver async: no luck" && len(s.ran()) == 3, "%+v", status)
}

func permanentError(s *suite) {
	s.does(func(context.Context, receiver.Event) (receiver.Response, error) {
		return receiver.Response{}, fmt.Errorf("no such order: %w", receiver.ErrPermanent)
	})

	status := s.becomes(s.add(s.event("async", "d1")), receiver.Failed)

	s.checkf(status.Attempts == 1, "%+v", status)
}

func panics(s *suite) {
	s.does(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.DeliveryID == "bad" {
			panic("out of order")
		}
		return receiver.Response{}, nil
	})

	bad, good := s.add(s.event("async", "bad")), s.add(s.event("async", "good"))

	s.becomes(good, receiver.Done)
	status := s.becomes(bad, receiver.Failed)
	s.checkf(status.Error == "receiver async: panic: out of order", "%+v", status)
}

func syncWaitsForRun(s *suite) {
	r := s.add(s.event("sync", "d1"))
	s.checkf(len(s.ran()) == 0, "it ran by itself")

	status, err := s.inbox.Run(s.Context(), r)

	s.checkf(err == nil && status.State == receiver.Done && status.Attempts == 1, "Run: %+v, %v", status, err)
	status, err = s.inbox.Run(s.Context(), r)
	s.checkf(err == nil && status.State == receiver.Done && len(s.ran()) == 1, "a second Run: %+v, %v", status, err)
}

func syncFailsOver(s *suite) {
	s.does(func(_ context.Context, ev receiver.Event) (receiver.Response, error) {
		if ev.Attempt == 1 {
			return receiver.Response{}, errors.New("not yet")
		}
		return receiver.Response{}, nil
	})
	r := s.add(s.event("sync", "d1"))

	status, err := s.inbox.Run(s.Context(), r)

	s.checkf(err == nil && status.State != receiver.Failed, "Run: %+v, %v", status, err)
	s.becomes(r, receiver.Done)
	s.checkf(len(s.ran()) == 2, "it ran %d times", len(s.ran()))
}

func reportsProgress(s *suite) {
	goOn := make(chan struct{})
	s.does(func(ctx context.Context, _ receiver.Event) (receiver.Response, error) {
		if err := receiver.Report(ctx, "half\nof it"); err != nil {
			return receiver.Response{}, err
		}
		<-goOn
		return receiver.Response{}, nil
	})

	r := s.add(s.event("async", "d1"))

	s.until("a message", func() bool { return s.status(r).Message == "half of it" })
	s.checkf(s.status(r).State == receiver.Pending, "%+v", s.status(r))
	close(goOn)
	s.becomes(r, receiver.Done)
}

func othersSeeNothing(s *suite) {
	ev := s.event("async", "d1")
	ev.Owner = "ann"
	r := s.add(ev)

	for _, other := range []receiver.Ref{
		{
			Receiver: "sync",
			Owner:    "ann",
			ID:       r.ID,
		},
		{
			Receiver: "async",
			Owner:    "bob",
			ID:       r.ID,
		},
		{Receiver: "async", ID: r.ID},
		{
			Receiver: "async",
			Owner:    "ann",
			ID:       "00000000-0000-4000-8000-999999999999",
		},
	} {
		_, err := s.inbox.Status(s.Context(), other)
		s.checkf(errors.Is(err, receiver.ErrNotFound), "Status of %+v: %v", other, err)
		_, err = s.inbox.Delete(s.Context(), other)
		s.checkf(errors.Is(err, receiver.ErrNotFound), "Delete of %+v: %v", other, err)
		_, err = s.inbox.Run(s.Context(), other)
		s.checkf(errors.Is(err, receiver.ErrNotFound), "Run of %+v: %v", other, err)
	}
	s.becomes(r, receiver.Done)
}

func deleteBeforeRun(s *suite) {
	r := s.add(s.event("sync", "d1"))

	for range 2 {
		status, err := s.inbox.Delete(s.Context(), r)
		s.checkf(err == nil && status.State == receiver.Gone, "Delete: %+v, %v", status, err)
	}

	status, err := s.inbox.Run(s.Context(), r)
	s.checkf(err == nil && status.State == receiver.Gone && len(s.ran()) == 0, "Run: %+v, %v", status, err)
	again, added, err := s.inbox.Add(s.Context(), s.event("sync", "d1"))
	s.checkf(err == nil && !added && again.State == receiver.Gone, "Add: %+v, %v, %v", again, added, err)
}

func deleteWhileRunning(s *suite) {
	running, ended := make(chan struct{}), make(chan struct{})
	s.does(func(ctx context.Context, _ receiver.Event) (receiver.Response, error) {
		close(running)
		<-ctx.Done()
		close(ended)
		return receiver.Response{Status: 299}, nil
	})
	r := s.add(s.event("async", "d1"))
	<-running

	status, err := s.inbox.Delete(s.Context(), r)

	s.checkf(err == nil && status.State == receiver.Gone, "Delete: %+v, %v", status, err)
	<-ended
	status = s.status(r)
	s.checkf(status.State == receiver.Gone && status.Response.Status == 0 && len(s.ran()) == 1, "%+v", status)
}
