package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/internal/ttlcache"
)

const (
	// filterTimeout bounds one evaluation of a filter beside its cost, for an
	// engine whose processors have other work.
	filterTimeout = time.Second

	// keptFilters is how many bytes of filters of each generation stay compiled.
	// Compiled they take up to 200 times as much memory.
	keptFilters = 256 << 10
)

// compiledFilter is an expression compiled, or why it does not compile here.
type compiledFilter struct {
	program *filter.Program
	err     error
}

func newFilters() *ttlcache.Cache[string, *compiledFilter] {
	return ttlcache.New(ttlcache.Config[string, *compiledFilter]{
		Cost: func(expr string) int { return len(expr) },
		Size: keptFilters,
	}, time.Now())
}

func (e *Engine) checkFilter(expr string) error {
	_, err := filter.Compile(expr, &e.cfg.Filters)
	return err
}

func (e *Engine) compiledFilter(expr string) *compiledFilter {
	if known, ok := e.filters.Get(expr); ok {
		return known
	}
	program, err := filter.Compile(expr, &e.cfg.Filters)
	return e.filters.Update(expr, func(*compiledFilter, bool) *compiledFilter {
		return &compiledFilter{program: program, err: err}
	})
}

// applyFilters settles the decisions of subscriptions whose filters do not let the
// event pass. Equal filters are evaluated once.
func (e *Engine) applyFilters(ctx context.Context, by *callbacks.Caller, ev dialect.Event, decisions []decision) {
	filtered := func(d decision) bool { return d.Outcome == decisionDeliver && d.Subscription.Filter != "" }
	if !slices.ContainsFunc(decisions, filtered) {
		return
	}
	err := by.Call(ctx, callbacks.StepFilters, func() { e.evaluateFilters(ctx, ev, decisions) })
	if err == nil {
		return
	}
	for i := range decisions {
		if d := &decisions[i]; filtered(*d) {
			d.Outcome, d.Reason = decisionFailed, err.Error()
		}
	}
}

func (e *Engine) evaluateFilters(ctx context.Context, ev dialect.Event, decisions []decision) {
	type verdict struct{ outcome, reason string }
	verdicts := map[string]verdict{}
	seen := filteredEvent(ev)
	for i := range decisions {
		d := &decisions[i]
		expr := d.Subscription.Filter
		if d.Outcome != decisionDeliver || expr == "" {
			continue
		}
		v, known := verdicts[expr]
		if !known {
			v.outcome, v.reason = e.judgeFilter(ctx, expr, seen)
			verdicts[expr] = v
		}
		d.Outcome, d.Reason = v.outcome, v.reason
	}
}

func (e *Engine) judgeFilter(ctx context.Context, expr string, seen *filter.Event) (outcome, reason string) {
	compiled := e.compiledFilter(expr)
	if compiled.err != nil {
		return decisionFilterError, callbacks.ReasonNoFilter + callbacks.Brief(compiled.err)
	}
	ctx, cancel := context.WithTimeout(ctx, filterTimeout)
	defer cancel()
	matches, err := compiled.program.Matches(ctx, seen)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return decisionWaiting, "the filter was not evaluated in time"
	case err != nil:
		return decisionFilterError, callbacks.ReasonFilter + callbacks.Brief(err)
	case !matches:
		return decisionFiltered, "the filter is false of it"
	}
	return decisionDeliver, ""
}

// filteredEvent is what filters see: the intent's own data, whatever an
// externalizer will make of it.
func filteredEvent(ev dialect.Event) *filter.Event {
	return &filter.Event{
		Type:         ev.Type,
		Site:         ev.Site,
		ActiveSite:   ev.ActiveSite,
		ResourceKind: ev.ResourceKind,
		ResourceID:   ev.ResourceID,
		Actor:        ev.Actor,
		Channel:      ev.Channel,
		Attributes:   ev.Attributes,
		Data:         ev.Data,
	}
}
