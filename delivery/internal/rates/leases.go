package rates

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// askTime bounds how long the database is asked for leases.
const askTime = 30 * time.Second

// Config is what Leases work by.
type Config struct {
	Batch   batch.Config
	Most    attempt.Rate                    // of any subscription, whatever it says
	Now     func() time.Time                // see drain.Clock
	OfOwner func(owner string) attempt.Rate // nil: owners have none
	Store   *store.Queries                  // with plans that are kept
}

// Leases are what an engine has of all rates. What has no rate costs nothing. It is safe for
// concurrent use.
type Leases struct {
	cfg  Config
	asks *batch.Group[string, bool] // of keys of accounts; whether to ask again

	mu       sync.Mutex
	accounts map[string]*account // by key
	held     map[uuid.UUID]*held // subscriptions with held deliveries
}

// NewLeases makes Leases, which ask the database until Close.
func NewLeases(cfg Config) *Leases {
	l := &Leases{
		cfg:      cfg,
		accounts: map[string]*account{},
		held:     map[uuid.UUID]*held{},
	}
	l.asks = batch.New(cfg.Batch, l.ask)
	return l
}

// Close waits for questions under way, and refuses further ones.
func (l *Leases) Close() { l.asks.Close() }

// limit is a rate of something.
type limit struct {
	key  string
	rate attempt.Rate
	of   string // what it is of, for people
}

// What rates are of.
const (
	ofSubscription = "the rate of the subscription is used up"
	ofOwner        = "the rate of its owner is used up"
)

func subscriptionKey(id uuid.UUID) string { return "s" + id.String() }
func ownerKey(owner string) string        { return "o" + owner }

// limits are the rates of a delivery, none if it has none: first that of its owner, which
// has more to give back what is not spent.
func (l *Leases) limits(t *attempt.Target) (all []limit) {
	if l.cfg.OfOwner != nil && t.Sub.Owner != "" {
		if rate := l.cfg.OfOwner(t.Sub.Owner); rate.IsLimit() {
			all = append(all, limit{ownerKey(t.Sub.Owner), rate, ofOwner})
		}
	}
	if rate := t.Sub.Rate.Within(l.cfg.Most); rate.IsLimit() {
		all = append(all, limit{subscriptionKey(t.Sub.ID), rate, ofSubscription})
	}
	return all
}

// Limits says whether the deliveries of a subscription have a rate.
func (l *Leases) Limits(t *attempt.Target) bool { return len(l.limits(t)) > 0 }

// hold is what follows for a delivery that gets no lease of a rate.
func (l *Leases) hold(t *attempt.Target, of limit) *attempt.Transition {
	l.Found(t)
	return t.HoldFor(attempt.HoldRate, of.of)
}

// Check holds a delivery that would get no lease if it came for one now, and one that has
// not been held yet while others are: those go first. nil lets it pass. It asks nobody, and
// enters whether the delivery has a rate.
func (l *Leases) Check(t *attempt.Target) *attempt.Transition {
	limits := l.limits(t)
	if t.Rated = len(limits) > 0; !t.Rated {
		return nil
	}
	for _, of := range limits {
		if l.goesAfter(of, t.Seq == 0) {
			return l.hold(t, of)
		}
	}
	return nil
}

// goesAfter is true of a delivery that has to wait for others, or for its rate.
func (l *Leases) goesAfter(of limit, fresh bool) bool {
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.get(of, now)
	return !a.isOpen(now) || fresh && now.Before(a.backlogUntil)
}

// Lease lets one request go out. The zero Lease is that of a delivery without a rate.
type Lease struct {
	leases *Leases
	lots   map[string]lot
}

// Return gives back a lease with which no request was made.
func (e Lease) Return() {
	if e.leases == nil {
		return
	}
	e.leases.mu.Lock()
	defer e.leases.mu.Unlock()
	for key, l := range e.lots {
		if a := e.leases.accounts[key]; a != nil && a.rate.Every == l.every {
			a.putBack(l)
		}
	}
}

// Take leases a request right before it goes out, and waits for its time, which is at most a
// moment. It returns what follows for the delivery if there is none, and ctx's error if that
// has ended. The lease is to be spent at once, or returned.
func (l *Leases) Take(ctx context.Context, t *attempt.Target) (Lease, *attempt.Transition, error) {
	limits := l.limits(t)
	if len(limits) == 0 {
		return Lease{}, nil, nil
	}
	lease := Lease{leases: l, lots: make(map[string]lot, len(limits))}
	at := l.cfg.Now()
	for _, of := range limits {
		one, err := l.take(ctx, of)
		switch {
		case ctx.Err() != nil:
			lease.Return()
			return Lease{}, nil, context.Cause(ctx)
		case err != nil:
			lease.Return()
			return Lease{}, t.Postpone(attempt.ChangedWait, "its rate could not be read"), nil //nolint:nilerr // the delivery says so
		case one.left == 0:
			lease.Return()
			return Lease{}, l.hold(t, of), nil
		}
		lease.lots[of.key] = one
		if one.first.After(at) {
			at = one.first
		}
	}
	if wait := at.Sub(l.cfg.Now()); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			lease.Return()
			return Lease{}, nil, context.Cause(ctx)
		}
	}
	return lease, nil, nil
}

// take returns a lot of one request, or an empty one if nothing is left.
func (l *Leases) take(ctx context.Context, of limit) (lot, error) {
	now := l.cfg.Now()
	l.mu.Lock()
	a := l.get(of, now)
	if one, ok := a.spend(now); ok {
		l.mu.Unlock()
		return one, nil
	}
	if now.Before(a.closedUntil) {
		a.backlogUntil = now.Add(backlogLapse)
		l.mu.Unlock()
		return lot{}, nil
	}
	w := &waiter{answer: make(chan answer, 1)}
	a.waiting = append(a.waiting, w)
	first := !a.asking
	a.asking = true
	l.mu.Unlock()
	if first {
		l.askFor(ctx, a)
	}
	select {
	case got := <-w.answer:
		return got.lot, got.err
	case <-ctx.Done():
		return lot{}, l.giveUp(a, w)
	}
}

// askFor asks the database for all that wait. It goes on by itself for those that have come
// meanwhile.
func (l *Leases) askFor(ctx context.Context, a *account) {
	ctx = context.WithoutCancel(ctx)
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	switch again, err := l.asks.Do(asking, a.key); {
	case err != nil:
		l.mu.Lock()
		a.refuse(err, l.cfg.Now())
		l.mu.Unlock()
	case again:
		go l.askFor(ctx, a)
	}
}

// giveUp ends a wait.
func (l *Leases) giveUp(a *account, w *waiter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(a.waiting, w); i >= 0 {
		a.waiting = slices.Delete(a.waiting, i, i+1)
		return context.Canceled
	}
	if got := <-w.answer; got.lot.left > 0 {
		a.putBack(got.lot)
	}
	return context.Canceled
}

// get must be called with the lock held.
func (l *Leases) get(of limit, now time.Time) *account {
	a := l.accounts[of.key]
	if a == nil {
		a = &account{key: of.key}
		l.accounts[of.key] = a
	}
	a.use(of.rate, now)
	return a
}

// ask is the flush of the batch of questions: one statement for all rates that somebody
// waits for.
func (l *Leases) ask(ctx context.Context, keys []string) ([]bool, error) {
	params, rates := l.wanted(slices.Compact(slices.Sorted(slices.Values(keys)))) // one can ask anew before it was answered
	rows, err := l.cfg.Store.LeaseRates(ctx, params)
	if err == nil && len(rows) < len(params.Keys) {
		if err = l.cfg.Store.AddRates(ctx, params.Keys); err == nil {
			rows, err = l.again(ctx, params, rows)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("delivery: lease rates: %w", err)
	}
	now := l.cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	again := make(map[string]bool, len(rows))
	for _, row := range rows {
		i := slices.Index(params.Keys, row.Key)
		a := l.accounts[row.Key]
		count := row.Granted
		if a.rate != rates[i] { // it has become another meanwhile
			count = 0
		}
		again[row.Key] = a.granted(now, params.Wanted[i], count, time.Duration(row.FirstUs)*time.Microsecond, row.Until)
	}
	out := make([]bool, len(keys))
	for i, key := range keys {
		more, ok := again[key]
		out[i] = more || !ok // its row was removed meanwhile
	}
	return out, nil
}

// wanted is what is asked for now, and by which rates.
func (l *Leases) wanted(keys []string) (*store.LeaseRatesParams, []attempt.Rate) {
	now := l.cfg.Now()
	p := &store.LeaseRatesParams{AheadUs: ahead.Microseconds()}
	var rates []attempt.Rate
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		a := l.accounts[key]
		p.Keys = append(p.Keys, key)
		p.EveryUs = append(p.EveryUs, a.rate.Every.Microseconds())
		p.Bursts = append(p.Bursts, a.rate.Burst)
		wanted, unspent := a.wants(now)
		p.Wanted = append(p.Wanted, wanted)
		p.UnspentUs = append(p.UnspentUs, int64(unspent)*a.rate.Every.Microseconds())
		rates = append(rates, a.rate)
	}
	return p, rates
}

// again leases what had no row.
func (l *Leases) again(
	ctx context.Context, p *store.LeaseRatesParams, rows []store.LeaseRatesRow,
) ([]store.LeaseRatesRow, error) {
	rest := &store.LeaseRatesParams{AheadUs: p.AheadUs}
	for i, key := range p.Keys {
		if slices.ContainsFunc(rows, func(row store.LeaseRatesRow) bool { return row.Key == key }) {
			continue
		}
		rest.Keys = append(rest.Keys, key)
		rest.EveryUs = append(rest.EveryUs, p.EveryUs[i])
		rest.Bursts = append(rest.Bursts, p.Bursts[i])
		rest.Wanted = append(rest.Wanted, p.Wanted[i])
		rest.UnspentUs = append(rest.UnspentUs, 0) // of a row that was pruned
	}
	more, err := l.cfg.Store.LeaseRates(ctx, rest)
	return append(rows, more...), err
}

// GiveBack gives back what was leased and not spent, as far as nobody has leased of the same
// rate since, and forgets what was not used lately.
func (l *Leases) GiveBack(ctx context.Context) (rates int, err error) {
	p := l.unspent(l.cfg.Now())
	if len(p.Keys) == 0 {
		return 0, nil
	}
	n, err := l.cfg.Store.ReturnRates(ctx, p)
	return int(n), err
}

func (l *Leases) unspent(now time.Time) *store.ReturnRatesParams {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &store.ReturnRatesParams{}
	for key, a := range l.accounts {
		sums := map[time.Time]int64{}
		for _, lot := range a.takeDead(now) {
			sums[lot.until] += int64(lot.left) * lot.every.Microseconds()
		}
		for until, unspent := range sums {
			p.Keys = append(p.Keys, key)
			p.Untils = append(p.Untils, until)
			p.UnspentUs = append(p.UnspentUs, unspent)
		}
		if a.isUnused(now) {
			delete(l.accounts, key)
		}
	}
	return p
}
