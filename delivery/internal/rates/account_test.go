package rates

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// row is a row of the table rate, on which the real function of the database works. The time
// is a value.
type row struct {
	t     require.TestingT
	pool  *pgxpool.Pool
	rate  attempt.Rate
	taken time.Time
}

func (r *row) lease(at time.Time, wanted, unspent int) (granted int, first time.Duration, until time.Time) {
	taken := r.taken.Sub(at) - time.Duration(unspent)*r.rate.Every
	var step []int64
	err := r.pool.QueryRow(background, `SELECT riverhook.rate_step($1, $2, $3, $4, $5)`,
		taken.Microseconds(), r.rate.Every.Microseconds(), r.rate.Burst, ahead.Microseconds(), wanted).Scan(&step)
	require.NoError(r.t, err)
	until = at.Add(time.Duration(step[2]) * time.Microsecond)
	if step[0] > 0 || unspent > 0 {
		r.taken = until
	}
	return int(step[0]), time.Duration(step[1]) * time.Microsecond, until
}

func drawRate(rt *rapid.T) attempt.Rate {
	return rapid.Custom(func(rt *rapid.T) attempt.Rate {
		return attempt.NewRate(
			rapid.SampledFrom([]int{1, 3, 7, 60, 1000}).Draw(rt, "events"),
			rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(rt, "per"),
			rapid.IntRange(1, 50).Draw(rt, "burst"),
		)
	}).Draw(rt, "rate")
}

// The function of the database grants what an algorithm that counts one by one lets pass.
func TestRateStep_IsTheGenericCellRateAlgorithm(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rapid.Check(t, func(rt *rapid.T) {
		rate := drawRate(rt)
		now := time.UnixMicro(1_700_000_000_000_000)
		r := &row{
			t:     rt,
			pool:  pool,
			rate:  rate,
			taken: now,
		}
		arrival := now // the theoretical one
		for range 10 {
			now = now.Add(time.Duration(rapid.Int64Range(0, 4*rate.Every.Microseconds()).Draw(rt, "pause")) * time.Microsecond)
			wanted := rapid.IntRange(0, 2*rate.Burst).Draw(rt, "wanted")
			if arrival.Before(now) {
				arrival = now
			}
			conform := func() time.Time { return arrival.Add(rate.Every - time.Duration(rate.Burst)*rate.Every) }
			first := conform().Sub(now)
			passed := 0
			for passed < wanted && !conform().After(now.Add(ahead)) {
				arrival = arrival.Add(rate.Every)
				passed++
			}
			granted, got, until := r.lease(now, wanted, 0)
			require.Equal(rt, passed, granted)
			require.Equal(rt, first, got)
			require.True(rt, until.Equal(arrival), "%s, not %s", until, arrival)
		}
	})
}

// A rate that was lower before is not waited for: what it was taken for by then is no more
// than all that the rate is now.
func TestRateStep_ARateThatWasChangedIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_700_000_000_000_000)
	r := &row{
		t:     t,
		pool:  pgtest.Pool(t),
		rate:  attempt.NewRate(10, time.Second, 10),
		taken: now.Add(24 * time.Hour),
	}
	granted, first, _ := r.lease(now, 5, 0)
	require.Zero(t, granted)
	require.Equal(t, ahead+100*time.Millisecond, first)
}

// engines are accounts of one rate in several processes, whose requests are counted.
type engines struct {
	row

	all  []*account
	now  time.Time
	sent []time.Time
	kept []kept
}

// kept is a lease of an engine that makes no request with it.
type kept struct {
	account *account
	lot     lot
}

// arrive lets n requests come to an engine, whose question takes so long. It returns how many
// got a lease.
func (e *engines) arrive(a *account, n int, took time.Duration, spend bool) (leased int) {
	a.use(e.rate, e.now)
	give := func(l lot, now time.Time) {
		leased++
		if !spend {
			e.kept = append(e.kept, kept{a, l})
			return
		}
		at := now
		if l.first.After(at) {
			at = l.first
		}
		e.sent = append(e.sent, at)
	}
	for range n {
		if l, ok := a.spend(e.now); ok {
			give(l, e.now)
		} else if !e.now.Before(a.closedUntil) {
			a.waiting = append(a.waiting, &waiter{answer: make(chan answer, 1)})
		}
	}
	waiting := slices.Clone(a.waiting)
	for again := len(waiting) > 0; again; {
		asked := e.now
		wanted, unspent := a.wants(asked)
		count, first, until := e.lease(asked, wanted, unspent)
		e.now = asked.Add(took)
		again = a.granted(e.now, wanted, count, first, until)
	}
	for _, w := range waiting {
		if got := <-w.answer; got.lot.left > 0 {
			give(got.lot, e.now)
		}
	}
	return leased
}

// exceeds returns a window in which more was sent than a rate allows.
func (e *engines) exceeds() (count int, window time.Duration, is bool) {
	slices.SortFunc(e.sent, func(a, b time.Time) int { return a.Compare(b) })
	tolerance := max(e.rate.Every*time.Duration(e.rate.Burst)/20, 20*time.Millisecond)
	for from := range e.sent {
		for to := from; to < len(e.sent); to++ {
			count, window = to-from+1, e.sent[to].Sub(e.sent[from])
			if time.Duration(count-e.rate.Burst)*e.rate.Every > window+tolerance {
				return count, window, true
			}
		}
	}
	return 0, 0, false
}

// However several engines lease, spend, keep, give back and forget: over no time more goes out
// than the rate has, but for a little; and who asks gets a lease within the time of one.
func TestAccount_SeveralEnginesKeepARateAndAreNotStarved(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rapid.Check(t, func(rt *rapid.T) {
		now := time.UnixMicro(1_700_000_000_000_000)
		rate := drawRate(rt)
		e := &engines{
			row: row{
				t:     rt,
				pool:  pool,
				rate:  rate,
				taken: now,
			},
			all: []*account{{}, {}, {}},
			now: now,
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			pause := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 5 * time.Millisecond, ahead / 3, ahead, rate.Every, 3 * rate.Every})
			e.now = e.now.Add(pause.Draw(rt, "pause"))
			a := rapid.SampledFrom(e.all).Draw(rt, "engine")
			switch rapid.SampledFrom([]string{"send", "send", "send", "keep", "put back", "die"}).Draw(rt, "action") {
			case "send":
				took := rapid.SampledFrom([]time.Duration{0, time.Millisecond, 8 * time.Millisecond}).Draw(rt, "took")
				e.arrive(a, rapid.IntRange(1, 20).Draw(rt, "n"), took, true)
			case "keep":
				e.arrive(a, 1, 0, false)
			case "put back":
				for _, k := range e.kept {
					k.account.putBack(k.lot)
				}
				e.kept = nil
			case "die":
				*a = account{}
				e.kept = slices.DeleteFunc(e.kept, func(k kept) bool { return k.account == a })
			}
		}
		if count, window, is := e.exceeds(); is {
			rt.Fatalf("%d in %s by a rate of one every %s and %d at once", count, window, rate.Every, rate.Burst)
		}

		for end := e.now.Add(rate.Every + ahead + askAgain); e.arrive(e.all[0], 1, 0, true) == 0; e.now = e.now.Add(askPause) {
			require.True(rt, e.now.Before(end), "a delivery gets no lease")
		}
	})
}

// One engine whose requests come evenly, at a rate that is not used up, gets leases by a few
// questions, and none is lost.
func TestAccount_AsksSeldomAndLosesNothing(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_700_000_000_000_000)
	e := &engines{
		row: row{
			t:     t,
			pool:  pgtest.Pool(t),
			rate:  attempt.NewRate(1000, time.Second, 1000),
			taken: now,
		},
		now: now,
	}
	a, asked := &account{}, 0
	for range 1800 { // 900 a second, for two seconds
		before := e.taken
		require.Equal(t, 1, e.arrive(a, 1, 0, true))
		if !e.taken.Equal(before) {
			asked++
		}
		e.now = e.now.Add(time.Second / 900)
	}
	require.Less(t, asked, 2*60, "questions in two seconds")
	require.Less(t, e.taken.Sub(e.now), 100*time.Millisecond, "the burst is there still")
}
