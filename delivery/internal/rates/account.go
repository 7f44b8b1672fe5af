package rates

import (
	"slices"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

const (
	// ahead is how long before its time a request is leased at most, and waits for that: it
	// has a slot meanwhile. One whose time is later is held as a row.
	ahead = 200 * time.Millisecond

	// askPause is how long the database is not asked about a rate that had nothing left,
	// and askAgain how long at most: others give back what they did not spend.
	askPause = ahead / 2
	askAgain = 2 * time.Second

	// A lease is valid for one part in lifePart of the burst after its time, and can be given
	// back for as long again. A lease that is spent late adds to what the rate has gained by
	// then, so the excess over a rate is at most two such parts of the burst, or what the rate
	// has in twice shortLife.
	lifePart  = 40
	shortLife = 10 * time.Millisecond
	longLife  = 500 * time.Millisecond

	// backlogLapse is how long an engine assumes that deliveries are held for a rate after it
	// last saw one. Another engine may have released the rest.
	backlogLapse = 5 * time.Second

	// accountAge is how long an account is remembered that is not used.
	accountAge = time.Minute
)

// account is what an engine has of one rate. Whoever uses it has the lock of its Leases.
type account struct {
	key  string
	rate attempt.Rate

	lots    []lot
	dead    []lot // that last no more
	waiting []*waiter
	asking  bool // somebody asks the database

	spent   int // since it was asked last
	askedAt time.Time

	closedUntil  time.Time // the database has nothing before
	backlogUntil time.Time // deliveries are held for it, which go first
	used         time.Time
}

// lot is what was leased at once: left requests, the first of which may go out at first and
// each of the others a step later.
type lot struct {
	first time.Time
	step  time.Duration // 0: all at once
	left  int
	until time.Time     // up to which its rate was taken then; it names the lot in the database
	every time.Duration // of its rate
}

// waiter is a request that waits for a lease.
type waiter struct{ answer chan answer }

// answer is a lease, or why there is none: an error, or nothing is left.
type answer struct {
	lot lot // of one request
	err error
}

// life is how long a lease of a rate lasts after its time.
func life(r attempt.Rate) time.Duration {
	return min(max(r.Every*time.Duration(r.Burst)/lifePart, shortLife), longLife)
}

// use makes the account one of a rate, which can be another than before: what it had of
// that is worth nothing.
func (a *account) use(r attempt.Rate, now time.Time) {
	a.used = now
	if a.rate != r {
		a.rate = r
		a.lots = nil
		a.closedUntil = time.Time{}
	}
}

// spend takes a lease that may go out now or soon. What was leased first is spent first.
func (a *account) spend(now time.Time) (lot, bool) {
	a.bury(now)
	for i := range a.lots {
		l := &a.lots[i]
		if l.first.Sub(now) > ahead {
			continue
		}
		one := *l
		one.left = 1
		one.step = 0
		l.first = l.first.Add(l.step)
		l.left--
		if l.left == 0 {
			a.lots = slices.Delete(a.lots, i, i+1)
		}
		a.spent++
		return one, true
	}
	return lot{}, false
}

// bury keeps what does not last any more apart from what does.
func (a *account) bury(now time.Time) {
	lasting := a.lots[:0]
	for _, l := range a.lots {
		if late := now.Sub(l.first) - life(a.rate); late > 0 {
			over := l
			if l.step > 0 {
				over.left = min(int((late+l.step-1)/l.step), l.left)
			}
			a.dead = append(a.dead, over)
			l.first = l.first.Add(time.Duration(over.left) * l.step)
			l.left -= over.left
		}
		if l.left > 0 {
			lasting = append(lasting, l)
		}
	}
	a.lots = lasting
}

// isOpen is true if a request may get a lease: there is one, or the database may have some.
func (a *account) isOpen(now time.Time) bool {
	if !now.Before(a.closedUntil) {
		return true
	}
	l, ok := a.spend(now)
	if ok {
		a.putBack(l)
	}
	return ok
}

// putBack returns a lease with which nothing was sent.
func (a *account) putBack(l lot) {
	a.spent = max(a.spent-1, 0)
	a.lots = slices.Insert(a.lots, 0, l)
}

// wants is how many leases are asked for now: of those who wait, and as many more as were
// spent lately in the time for which they last. unspent is what is given back.
func (a *account) wants(now time.Time) (wanted, unspent int) {
	a.bury(now)
	a.dead = slices.DeleteFunc(a.dead, func(l lot) bool {
		young := now.Sub(l.first) <= 2*life(a.rate)
		if young {
			unspent += l.left
		}
		return young
	})
	more := a.spent
	if since, lasts := now.Sub(a.askedAt), min(life(a.rate), ahead); since > lasts {
		more = int(time.Duration(more) * lasts / since)
	}
	a.spent = 0
	a.askedAt = now
	return len(a.waiting) + more, unspent
}

// granted enters what the database has leased, of so many that were wanted: count requests,
// the first of them, or the next with none, in a time from now. It answers those that wait. It
// returns whether to ask again for those that have come meanwhile.
func (a *account) granted(now time.Time, wanted, count int, first time.Duration, until time.Time) (again bool) {
	if count > 0 {
		a.add(now, count, first, until)
	}
	for len(a.waiting) > 0 {
		one, ok := a.spend(now)
		if !ok {
			break
		}
		a.waiting[0].answer <- answer{lot: one}
		a.waiting = a.waiting[1:]
	}
	if len(a.waiting) == 0 {
		a.asking = false
		return false
	}
	if count == wanted {
		return true
	}
	next := first + time.Duration(count)*a.rate.Every
	a.closedUntil = now.Add(min(max(next-ahead, askPause), askAgain))
	a.refuse(nil, now)
	return false
}

// add enters what was leased: what had its time before can go out at once.
func (a *account) add(now time.Time, count int, first time.Duration, until time.Time) {
	l := lot{
		first: now,
		left:  count,
		until: until,
		every: a.rate.Every,
	}
	if first <= 0 {
		l.left = min(count, int(-first/a.rate.Every)+1)
		a.lots = append(a.lots, l)
		first += time.Duration(l.left) * a.rate.Every
		l.left = count - l.left
	}
	if l.step = a.rate.Every; l.left > 0 {
		l.first = now.Add(first)
		a.lots = append(a.lots, l)
	}
}

// refuse ends the wait of all that wait. With no error deliveries are held for it.
func (a *account) refuse(err error, now time.Time) {
	a.asking = false
	if err == nil {
		a.backlogUntil = now.Add(backlogLapse)
	}
	for _, w := range a.waiting {
		w.answer <- answer{err: err}
	}
	a.waiting = nil
}

// takeDead takes out what does not last any more, to be given back.
func (a *account) takeDead(now time.Time) []lot {
	a.bury(now)
	out := a.dead
	a.dead = nil
	return out
}

// isUnused is true if nothing is lost when the account is dropped.
func (a *account) isUnused(now time.Time) bool {
	return !a.asking && len(a.lots)+len(a.dead)+len(a.waiting) == 0 && now.Sub(a.used) > accountAge
}
