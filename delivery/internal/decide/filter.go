package decide

import (
	"context"
	"errors"
	"fmt"
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

	// minFilterCost is what each evaluation costs at least, for what is done beside it.
	minFilterCost = 500

	// cachedFilterBytes is how many bytes of filters of each generation stay compiled.
	// Compiled they take up to 200 times as much memory.
	cachedFilterBytes = 256 << 10
)

// Filters evaluates the filters of subscriptions. It is safe for concurrent use.
type Filters struct {
	// PerOwner is the most that the filters of one owner may cost for one event, in the
	// units of filter.Opts; 0 is no limit. What is evaluated after that is an error. The
	// subscriptions of operators have no limit.
	PerOwner int

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
	verdicts := map[string]verdict{}
	spent := map[string]int{}           // by owner
	charged := map[[2]string]struct{}{} // an owner and an expression
	seen := filteredEvent(ev)
	for i := range decisions {
		d := &decisions[i]
		expr := d.Subscription.Filter
		if d.Outcome != OutcomeDeliver || expr == "" {
			continue
		}
		owner := d.Subscription.Owner
		key := [2]string{owner, expr}
		_, paid := charged[key]
		if limited := f.PerOwner > 0 && !d.Subscription.Operator; limited && !paid && spent[owner] >= f.PerOwner {
			d.set(OutcomeFilterError, fmt.Sprintf(callbacks.ReasonFilter+
				"the filters of its owner cost more than %d for one event; Config.Limits.FilterCostPerOwner allows no more", f.PerOwner))
			continue
		}
		v, known := verdicts[expr]
		if !known {
			v = f.evaluate(ctx, expr, seen)
			verdicts[expr] = v
		}
		if !paid { // by each owner, so that it does not depend on the others
			charged[key] = struct{}{}
			spent[owner] += max(v.cost, minFilterCost)
		}
		d.set(v.outcome, v.reason)
	}
}

// verdict is what a filter makes of an event, and what that cost.
type verdict struct {
	outcome Outcome
	reason  string
	cost    int
}

func (f *Filters) evaluate(ctx context.Context, expr string, seen *filter.Event) verdict {
	compiled := f.compile(expr)
	if compiled.err != nil {
		return verdict{outcome: OutcomeFilterError, reason: callbacks.ReasonNoFilter + callbacks.Brief(compiled.err)}
	}
	ctx, cancel := context.WithTimeout(ctx, filterTimeout)
	defer cancel()
	matches, cost, err := compiled.program.Evaluate(ctx, seen)
	v := verdict{outcome: OutcomeDeliver, cost: cost}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		v.outcome, v.reason = OutcomeWaiting, "the filter was not evaluated in time"
	case err != nil:
		v.outcome, v.reason = OutcomeFilterError, callbacks.ReasonFilter+callbacks.Brief(err)
	case !matches:
		v.outcome, v.reason = OutcomeFiltered, "the filter is false of it"
	}
	return v
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
