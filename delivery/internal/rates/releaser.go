package rates

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// releasedLapse is when deliveries that were released and have leased nothing are
	// believed to be lost.
	releasedLapse = 5 * time.Second

	// mostReleased is how many deliveries of one subscription a round releases at most.
	mostReleased = 1000

	// mostSubscriptions is how many subscriptions a round releases of at most.
	mostSubscriptions = 2000

	// mostWait is how long a rate that has nothing is not looked at, at most: it can have
	// become another.
	mostWait = 3 * time.Second

	// What is released is due in the time up to the second round from now, but not later
	// than River's client fetches it at its time: see the function job.
	leastAhead = time.Second
	mostAhead  = 4 * time.Second
)

// Ahead is the time in which what is released is due, in an engine with such a time between
// two rounds.
func Ahead(interval time.Duration) time.Duration {
	return min(max(2*interval, leastAhead), mostAhead)
}

// Releaser lets held deliveries of subscriptions with rates go on, the oldest of each first,
// one after another at the times that their rates have for them: over all engines about as
// many as will get a lease.
type Releaser struct {
	// Capacity is how many requests to the endpoint of a subscription this process can make
	// in a time.
	Capacity func(t *attempt.Target, within time.Duration) int

	Ahead  time.Duration // the time in which what is released is due
	Leases *Leases
	Store  *store.Queries // with plans that are kept
}

// held is a subscription with held deliveries, each of which has a rate.
type held struct {
	target    *attempt.Target
	notBefore time.Time // its rates have nothing before
}

// Found enters that a subscription has held deliveries, and its rate.
func (l *Leases) Found(t *attempt.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.held[t.Sub.ID]; h != nil && h.target.Sub.Rate == t.Sub.Rate {
		return
	}
	l.held[t.Sub.ID] = &held{target: &attempt.Target{Sub: attempt.Subscription{
		ID:          t.Sub.ID,
		Owner:       t.Sub.Owner,
		MaxInFlight: t.Sub.MaxInFlight,
		Rate:        t.Sub.Rate,
		URLVersion:  t.Sub.URLVersion,
	}}}
}

// due are some of the subscriptions with held deliveries whose rates may have some; in no
// order, so that none is left out for long.
func (l *Leases) due(most int) (all []*candidate) {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.held {
		if len(all) == most {
			break
		}
		if !now.Before(h.notBefore) {
			all = append(all, &candidate{target: h.target})
		}
	}
	return all
}

// candidate is a subscription with held deliveries.
type candidate struct {
	target   *attempt.Target
	capacity int
	limits   []limit
	due      []time.Duration // when what it releases is due from now
}

// pace is what a rate has for held deliveries.
type pace struct {
	limit

	wanted int
	left   int
	first  time.Duration // when the next of those may go out from now
}

// Run releases held deliveries of subscriptions that were found. It returns how many.
func (r *Releaser) Run(ctx context.Context) (int, error) {
	all := r.Leases.due(mostSubscriptions)
	if len(all) == 0 {
		return 0, nil
	}
	paces := map[string]*pace{}
	for _, c := range all {
		c.capacity = min(r.Capacity(c.target, r.Ahead), mostReleased)
		c.limits = r.Leases.limits(c.target)
		for _, of := range c.limits {
			p := paces[of.key]
			if p == nil {
				p = &pace{limit: of}
				paces[of.key] = p
			}
			p.wanted = min(p.wanted+c.capacity, mostReleased)
		}
	}
	if err := r.ask(ctx, paces); err != nil {
		return 0, err
	}
	share(all, paces)
	released, n, err := r.release(ctx, all)
	if err != nil {
		return n, err
	}
	r.Leases.released(all, released, paces, r.Ahead)
	return n, nil
}

// Open returns the ids of those subscriptions whose rates may have something for them in the
// time in which what is released is due. It takes nothing of it.
func (r *Releaser) Open(ctx context.Context, all []*attempt.Target) (ids []string, err error) {
	paces := map[string]*pace{}
	limits := make([][]limit, len(all))
	for i, t := range all {
		limits[i] = r.Leases.limits(t)
		for _, of := range limits[i] {
			paces[of.key] = &pace{limit: of}
		}
	}
	if len(paces) > 0 {
		if err := r.ask(ctx, paces); err != nil {
			return nil, err
		}
	}
	for i, t := range all {
		if !slices.ContainsFunc(limits[i], func(of limit) bool { return paces[of.key].first > r.Ahead }) {
			ids = append(ids, t.Sub.ID.String())
		}
	}
	return ids, nil
}

// ask reads what each rate has. One that somebody has locked has nothing in this round, and
// neither has one without a row.
func (r *Releaser) ask(ctx context.Context, paces map[string]*pace) error {
	p := &store.PaceReleasesParams{
		AheadUs: r.Ahead.Microseconds(),
		LapseMs: releasedLapse.Milliseconds(),
	}
	for key, of := range paces {
		p.Keys = append(p.Keys, key)
		p.EveryUs = append(p.EveryUs, of.rate.Every.Microseconds())
		p.Bursts = append(p.Bursts, of.rate.Burst)
		p.Wanted = append(p.Wanted, of.wanted)
	}
	rows, err := r.Store.PaceReleases(ctx, p)
	if err != nil {
		return fmt.Errorf("delivery: pace releases: %w", err)
	}
	if len(rows) < len(p.Keys) {
		if err := r.Store.AddRates(ctx, p.Keys); err != nil { // for the next round
			return fmt.Errorf("delivery: add rates: %w", err)
		}
	}
	for _, row := range rows {
		paces[row.Key].left = row.Granted
		paces[row.Key].first = time.Duration(row.FirstUs) * time.Microsecond
	}
	return nil
}

// share says how many each subscription may release, and when: what an owner has goes to its
// subscriptions one by one.
func share(all []*candidate, paces map[string]*pace) {
	for given := true; given; {
		given = false
		for _, c := range all {
			if len(c.due) >= c.capacity || slices.ContainsFunc(c.limits, func(of limit) bool { return paces[of.key].left == 0 }) {
				continue
			}
			var due time.Duration
			for _, of := range c.limits {
				p := paces[of.key]
				due = max(due, p.first)
				p.first += p.rate.Every
				p.left--
			}
			c.due = append(c.due, due)
			given = true
		}
	}
}

// release releases as many of each subscription as it may. It returns how many, by
// subscription and in all.
func (r *Releaser) release(ctx context.Context, all []*candidate) (bySubscription map[uuid.UUID]int, n int, err error) {
	p := &store.ReleaseByRateParams{}
	for _, c := range all {
		for _, due := range c.due {
			p.Subscriptions = append(p.Subscriptions, c.target.Sub.ID.String())
			p.DueUs = append(p.DueUs, due.Microseconds())
		}
	}
	bySubscription = map[uuid.UUID]int{}
	if len(p.Subscriptions) == 0 {
		return bySubscription, 0, nil
	}
	rows, err := r.Store.ReleaseByRate(ctx, p)
	if err != nil {
		return nil, 0, fmt.Errorf("delivery: release by rate: %w", err)
	}
	for _, row := range rows {
		bySubscription[row.SubscriptionID] = row.Released
		n += row.Released
	}
	return bySubscription, n, nil
}

// released enters which subscriptions, and so which rates, have held deliveries still, and
// when their rates have some for them.
func (l *Leases) released(all []*candidate, released map[uuid.UUID]int, paces map[string]*pace, ahead time.Duration) {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	more := map[string]bool{}
	for _, c := range all {
		id := c.target.Sub.ID
		drained := released[id] < len(c.due) || len(c.limits) == 0
		if drained {
			delete(l.held, id)
		}
		var wait time.Duration
		for _, of := range c.limits {
			more[of.key] = more[of.key] || !drained
			l.get(of, now)
			wait = max(wait, paces[of.key].first-ahead)
		}
		if h := l.held[id]; h != nil {
			h.notBefore = now.Add(min(wait, mostWait))
		}
	}
	for key, more := range more {
		a := l.accounts[key]
		if a.backlogUntil = (time.Time{}); more {
			a.backlogUntil = now.Add(backlogLapse)
		}
	}
}
