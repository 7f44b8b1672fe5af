package decide

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
	// filterTimeout bounds one evaluation of a filter besides its cost, for an
	// engine whose processors have other work.
	filterTimeout = time.Second

	// cachedFilterBytes is how many bytes of filters of each generation stay compiled.
	// Compiled they take up to 200 times as much memory.
	cachedFilterBytes = 256 << 10
)

// Filters evaluates the filters of subscriptions. It is safe for concurrent use.
type Filters struct {
	opts  filter.Opts
	cache *ttlcache.Cache[string, *compiledFilter] // by expression
}

// compiledFilter is an expression compiled, or why it does not compile here.
type compiledFilter struct {
	program *filter.Program
	err     error
}

// NewFilters bounds filters by opts.
func NewFilters(opts filter.Opts) *Filters {
	return &Filters{opts: opts, cache: ttlcache.New(ttlcache.Config[string, *compiledFilter]{
		Cost: func(expr string) int { return len(expr) },
		Size: cachedFilterBytes,
	}, time.Now())}
}

// Check returns why an expression cannot be the filter of a subscription.
func (f *Filters) Check(expr string) error {
	_, err := filter.Compile(expr, &f.opts)
	return err
}

func (f *Filters) compile(expr string) *compiledFilter {
	if known, ok := f.cache.Get(expr); ok {
		return known
	}
	program, err := filter.Compile(expr, &f.opts)
	return f.cache.Update(expr, func(*compiledFilter, bool) *compiledFilter {
		return &compiledFilter{program: program, err: err}
	})
}

// apply enters the decisions of subscriptions whose filters do not let the event pass.
// Equal filters are evaluated once.
func (f *Filters) apply(ctx context.Context, by *callbacks.Caller, ev dialect.Event, decisions []Decision) {
	filtered := func(d Decision) bool { return d.Outcome == OutcomeDeliver && d.Subscription.Filter != "" }
	if !slices.ContainsFunc(decisions, filtered) {
		return
	}
	err := by.Call(ctx, callbacks.StepFilters, func() { f.evaluateAll(ctx, ev, decisions) })
	if err == nil {
		return
	}
	for i := range decisions {
		if filtered(decisions[i]) {
			decisions[i].set(OutcomeFailed, err.Error())
		}
	}
}

func (f *Filters) evaluateAll(ctx context.Context, ev dialect.Event, decisions []Decision) {
	type verdict struct {
		outcome Outcome
		reason  string
	}
	verdicts := map[string]verdict{}
	seen := filteredEvent(ev)
	for i := range decisions {
		d := &decisions[i]
		expr := d.Subscription.Filter
		if d.Outcome != OutcomeDeliver || expr == "" {
			continue
		}
		v, known := verdicts[expr]
		if !known {
			v.outcome, v.reason = f.evaluate(ctx, expr, seen)
			verdicts[expr] = v
		}
		d.set(v.outcome, v.reason)
	}
}

func (f *Filters) evaluate(ctx context.Context, expr string, seen *filter.Event) (outcome Outcome, reason string) {
	compiled := f.compile(expr)
	if compiled.err != nil {
		return OutcomeFilterError, callbacks.ReasonNoFilter + callbacks.Brief(compiled.err)
	}
	ctx, cancel := context.WithTimeout(ctx, filterTimeout)
	defer cancel()
	matches, err := compiled.program.Matches(ctx, seen)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return OutcomeWaiting, "the filter was not evaluated in time"
	case err != nil:
		return OutcomeFilterError, callbacks.ReasonFilter + callbacks.Brief(err)
	case !matches:
		return OutcomeFiltered, "the filter is false of it"
	}
	return OutcomeDeliver, ""
}

// filteredEvent is what filters see: the event's own data, whatever an externalizer makes
// of it.
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
