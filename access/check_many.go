package access

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// stuckAfter is the part of the timeout after which calls of which none has returned
	// do not keep others from being made.
	stuckAfter = 50

	// moreCalls is how many times Parallel calls there may then be.
	moreCalls = 8
)

// CheckMany answers each request by the checker of its resource's kind, or the
// default one. It always returns as many answers as there are requests, in
// their order.
//
// A checker that is a [BatchChecker] gets all of its requests in one call;
// others get one call for each, [RegistryConfig].Parallel at a time, and more, up to 8 times
// as many, while those under way hang. Their order is by chance: whoever gets no turn now
// may get one when the question is asked again. All calls together
// get the time of [RegistryConfig].Timeout. These are errors, and never a decision: no
// checker ([ErrNoChecker]), no answer in time, also because others took all of it
// ([context.DeadlineExceeded], or the error of ctx), a batch answer of another length
// than the question, and a panic, whose value is in the text. Each concerns the
// requests of that call alone.
//
// CheckMany returns at the deadline even if a checker ignores its context.
// The goroutine of that call then lives on until the checker returns, and its
// answer is dropped.
func (r *Registry) CheckMany(ctx context.Context, reqs []Request) []error {
	answers := make([]error, len(reqs))
	r.CheckEach(ctx, reqs, func(i int, answer error) { answers[i] = answer })
	return answers
}

// CheckEach is CheckMany for those who go on with what is answered while a checker is
// slow: it hands on each answer as soon as it is there, with the index of its request.
// It does so once for each request, in the goroutine of its caller, and returns after
// the last one. When ctx ends, it has an answer for each that is left: the error of ctx.
func (r *Registry) CheckEach(ctx context.Context, reqs []Request, answered func(i int, answer error)) {
	cfg := r.config()
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	asked := map[*entry][]int{}
	left := map[int]*entry{}
	for i := range reqs {
		e := r.find(reqs[i].Resource.Kind)
		if e == nil {
			answered(i, fmt.Errorf("%w for resource kind %q", ErrNoChecker, reqs[i].Resource.Kind))
			continue
		}
		asked[e] = append(asked[e], i)
		left[i] = e
	}
	answers := make(chan verdict, len(left)) // nobody waits to hand one in
	each := map[*entry]*questions{}
	for e, indexes := range asked {
		q := &questions{
			answers: answers,
			entry:   e,
			indexes: indexes,
			reqs:    reqs,
		}
		if batch, ok := e.checker.(BatchChecker); ok {
			go q.askTogether(ctx, batch)
			continue
		}
		rand.Shuffle(len(indexes), func(i, j int) { //nolint:gosec // a fair order is no secret
			indexes[i], indexes[j] = indexes[j], indexes[i]
		})
		each[e] = q
		q.askMore(ctx, cfg.Parallel)
	}
	stuck := time.NewTicker(max(cfg.Timeout/stuckAfter, time.Microsecond))
	defer stuck.Stop()
	for len(left) > 0 && ctx.Err() == nil {
		select {
		case a := <-answers:
			if q := each[left[a.index]]; q != nil {
				q.answered = true
			}
			delete(left, a.index)
			answered(a.index, a.err)
		case <-stuck.C:
			for _, q := range each {
				if !q.answered && q.started < moreCalls*cfg.Parallel {
					q.askMore(ctx, cfg.Parallel)
				}
				q.answered = false
			}
		case <-ctx.Done():
		}
	}
	for i, e := range left {
		answered(i, e.late(ctx))
	}
}

// config is that of the Registry; the zero one can be registered with.
func (r *Registry) config() RegistryConfig {
	if r == nil {
		return (*RegistryConfig)(nil).withDefaults()
	}
	return r.cfg.withDefaults()
}

// verdict is the answer to the request of an index.
type verdict struct {
	index int
	err   error
}

// questions are the requests that one checker is asked in one CheckEach.
type questions struct {
	answers  chan<- verdict
	answered bool // lately
	entry    *entry
	indexes  []int
	next     atomic.Int64 // the first of the indexes that nobody has taken
	reqs     []Request
	started  int // goroutines of askEach
}

// askMore begins so many more calls at once, if there is something left to ask.
func (q *questions) askMore(ctx context.Context, calls int) {
	for range min(calls, len(q.indexes)-int(q.next.Load())) {
		q.started++
		go q.askEach(ctx)
	}
}

// askEach asks about one request after the other. Host code may never return, may panic and
// may call runtime.Goexit; then another goroutine takes the place of this one.
func (q *questions) askEach(ctx context.Context) {
	for ctx.Err() == nil {
		n := int(q.next.Add(1)) - 1
		if n >= len(q.indexes) {
			return
		}
		i := q.indexes[n]
		q.call(ctx, q.indexes[n:n+1], func() []error { return []error{q.entry.checker.Check(ctx, q.reqs[i])} }, func() { go q.askEach(ctx) })
	}
}

func (q *questions) askTogether(ctx context.Context, batch BatchChecker) {
	group := make([]Request, len(q.indexes))
	for j, i := range q.indexes {
		group[j] = q.reqs[i]
	}
	q.call(ctx, q.indexes, func() []error { return batch.CheckMany(ctx, group) }, func() {})
}

// call hands in the answers of a call of host code. It calls ended if that has ended the
// goroutine.
func (q *questions) call(ctx context.Context, indexes []int, check func() []error, ended func()) {
	answers := all(len(indexes), fmt.Errorf("access: %s: ended its goroutine without an answer", q.entry.name))
	returned := false
	defer func() {
		if v := recover(); v != nil {
			// Not %w: a panic with ErrDenied is no decision.
			answers, returned = all(len(indexes), fmt.Errorf("access: %s: panic: %v", q.entry.name, v)), true
		}
		for j, i := range indexes {
			q.answers <- verdict{i, answers[j]}
		}
		if !returned {
			ended()
		}
	}()
	answers = q.entry.judge(ctx, len(indexes), check())
	returned = true
}

// Decisions keep the checker's own words; what is not a decision says where it
// comes from. An answer that comes after the deadline does not count, so that
// what is sent does not depend on which of the two the caller sees first.
func (e *entry) judge(ctx context.Context, n int, got []error) []error {
	if ctx.Err() != nil {
		return all(n, e.late(ctx))
	}
	if len(got) != n {
		return all(n, fmt.Errorf("access: %s: %d answers to %d requests", e.name, len(got), n))
	}
	answers := make([]error, n)
	for i, err := range got {
		if err != nil && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrUnknownPrincipal) {
			err = fmt.Errorf("access: %s: %w", e.name, err)
		}
		answers[i] = err
	}
	return answers
}

func (e *entry) late(ctx context.Context) error {
	return fmt.Errorf("access: %s: no answer in time: %w", e.name, ctx.Err())
}

func all(n int, err error) []error {
	answers := make([]error, n)
	for i := range answers {
		answers[i] = err
	}
	return answers
}
