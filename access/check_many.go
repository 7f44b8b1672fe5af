package access

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// CheckMany answers each request by the checker of its resource's kind, or the
// default one. It always returns as many answers as there are requests, in
// their order.
//
// A checker that is a [BatchChecker] gets all of its requests in one call;
// others get one call for each, a few at a time. Each call gets the deadline of
// [RegistryConfig].Timeout. These are errors, and never a decision: no checker
// ([ErrNoChecker]), no answer in time ([context.DeadlineExceeded], or the error
// of ctx), a batch answer of another length than the question, and a panic,
// whose value is in the text. Each concerns the requests of that call alone.
//
// CheckMany returns at the deadline even if the checker ignores its context.
// The goroutine of that call then lives on until the checker returns, and its
// answer is dropped.
func (r *Registry) CheckMany(ctx context.Context, reqs []Request) []error {
	answers := make([]error, len(reqs))
	groups := map[*entry][]int{}
	for i, req := range reqs {
		e := r.find(req.Resource.Kind)
		if e == nil {
			answers[i] = fmt.Errorf("%w for resource kind %q", ErrNoChecker, req.Resource.Kind)
			continue
		}
		groups[e] = append(groups[e], i)
	}

	var wg sync.WaitGroup
	for e, indexes := range groups {
		wg.Go(func() { r.checkGroup(ctx, e, reqs, indexes, answers) })
	}
	wg.Wait()
	return answers
}

func (r *Registry) checkGroup(ctx context.Context, e *entry, reqs []Request, indexes []int, answers []error) {
	if batch, ok := e.checker.(BatchChecker); ok {
		group := make([]Request, len(indexes))
		for j, i := range indexes {
			group[j] = reqs[i]
		}
		for j, err := range e.call(ctx, r.cfg.withDefaults().Timeout, len(group), func(ctx context.Context) []error {
			return batch.CheckMany(ctx, group)
		}) {
			answers[indexes[j]] = err
		}
		return
	}

	cfg := r.cfg.withDefaults() // the zero Registry can be registered with
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(cfg.Parallel, len(indexes)) {
		wg.Go(func() {
			for i := range next {
				answers[i] = e.call(ctx, cfg.Timeout, 1, func(ctx context.Context) []error {
					return []error{e.checker.Check(ctx, reqs[i])}
				})[0]
			}
		})
	}
	for _, i := range indexes {
		next <- i
	}
	close(next)
	wg.Wait()
}

// Runs host code in a goroutine of its own, because it may never return, may
// panic and may call runtime.Goexit.
func (e *entry) call(ctx context.Context, timeout time.Duration, n int, check func(context.Context) []error) []error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if ctx.Err() != nil {
		return all(n, e.late(ctx))
	}

	result := make(chan []error, 1)
	go func() {
		answers := all(n, fmt.Errorf("access: %s: ended its goroutine without an answer", e.name))
		defer func() {
			if v := recover(); v != nil {
				// Not %w: a panic with ErrDenied is no decision.
				answers = all(n, fmt.Errorf("access: %s: panic: %v", e.name, v))
			}
			result <- answers
		}()
		answers = e.judge(ctx, n, check(ctx))
	}()

	select {
	case answers := <-result:
		return answers
	case <-ctx.Done():
		return all(n, e.late(ctx))
	}
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
