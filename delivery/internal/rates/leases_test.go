package rates

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
)

var background = context.Background()

// What has no rate asks nobody and allocates nothing.
func TestLeases_WhatHasNoRateCostsNothing(t *testing.T) { //nolint:paralleltest // allocations are counted
	l := NewLeases(Config{Now: time.Now}) // whatever it asked would end the test
	unlimited := target(uuid.New(), attempt.Rate{})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		tr := l.Check(unlimited)
		lease, held, err := l.Take(background, unlimited)
		if tr != nil || held != nil || err != nil {
			panic("it is held")
		}
		lease.Return()
	}))
	require.False(t, unlimited.Rated)
}

// Three processes that send as much as they can keep to the rate together, by the clock of the
// database, and get what it has.
func TestLeases_SeveralProcessesShareARate(t *testing.T) {
	t.Parallel()
	const (
		perSecond = 200
		burst     = 20
		most      = 150
	)
	pool := pgtest.Pool(t)
	id := uuid.New()
	rate := attempt.NewRate(perSecond, time.Second, burst)
	var sent atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for range 3 {
		l, _ := newLeases(t, pgtest.PoolIn(t, pool, pgx.QueryExecModeCacheStatement), nil)
		for range 5 {
			group.Go(func() {
				for range time.Tick(2 * time.Millisecond) { // requests come
					if sent.Load() >= most {
						return
					}
					_, tr, err := l.Take(t.Context(), target(id, rate))
					if err != nil {
						t.Error(err)
						return
					}
					if tr == nil {
						sent.Add(1)
					}
				}
			})
		}
	}
	group.Wait()
	allowed := 1.05 * (burst + perSecond*(time.Since(started)+20*time.Millisecond).Seconds())
	require.LessOrEqual(t, float64(sent.Load()), allowed)
}

// asking is an account of a rate with so many requests that wait for an answer.
func (l *Leases) asking(rate attempt.Rate, n int) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.get(limit{key: subscriptionKey(uuid.New()), rate: rate}, l.cfg.Now())
	a.asking = true
	for range n {
		a.waiting = append(a.waiting, &waiter{answer: make(chan answer, 1)})
	}
	return a
}

// A row can be removed between the statement that adds it and the one that leases.
func TestLeases_WhoseRowIsGoneAreAskedForAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	l, _ := newLeases(t, pool, nil)
	a := l.asking(attempt.NewRate(1, time.Hour, 5), 1)
	w := a.waiting[0]
	_, err := pool.Exec(background, `CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER gone BEFORE INSERT ON riverhook.rate FOR EACH ROW EXECUTE FUNCTION gone()`)
	require.NoError(t, err)

	again, err := l.ask(t.Context(), []string{a.key})
	require.NoError(t, err)
	require.Equal(t, []bool{true}, again)

	_, err = pool.Exec(background, `DROP TRIGGER gone ON riverhook.rate`)
	require.NoError(t, err)
	again, err = l.ask(t.Context(), []string{a.key})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, again)
	require.Equal(t, 1, (<-w.answer).lot.left)
}

// A question that was given up can be in one batch with the next one of its rate.
func TestLeases_AreLeasedOnceInABatch(t *testing.T) {
	t.Parallel()
	l, _ := newLeases(t, pgtest.Pool(t), nil)
	a := l.asking(attempt.NewRate(1, time.Hour, 5), 2)

	_, err := l.ask(t.Context(), []string{a.key, a.key})

	require.NoError(t, err)
	require.Empty(t, a.waiting)
	require.Empty(t, a.lots, "more were leased than were asked for")
}

// Many requests share a statement, of one rate and of many.
func TestLeases_AskByFewStatements(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	statements := func() int64 { return pool.Stat().AcquireCount() } // each takes a connection
	l, _ := newLeases(t, pool, nil)
	one := target(uuid.New(), attempt.NewRate(10_000, time.Second, 10_000))
	for range 2000 {
		_, tr, err := l.Take(t.Context(), one)
		require.NoError(t, err)
		require.Nil(t, tr)
	}
	require.Less(t, statements(), int64(200))

	before := statements()
	var group sync.WaitGroup
	for range 300 {
		group.Go(func() {
			_, tr, err := l.Take(t.Context(), target(uuid.New(), attempt.NewRate(1, time.Hour, 1)))
			if tr != nil || err != nil {
				t.Error(tr, err)
			}
		})
	}
	group.Wait()
	require.Less(t, statements()-before, int64(200), "each of these rates is new")
}

// The rate of an owner is that of all its subscriptions; an operator has none.
func TestLeases_AnOwnerHasOneRateForAllItsSubscriptions(t *testing.T) {
	t.Parallel()
	l, _ := newLeases(t, pgtest.Pool(t), func(string) attempt.Rate { return attempt.NewRate(1, time.Hour, 2) })
	take := func(tt *attempt.Target) *attempt.Transition {
		_, tr, err := l.Take(t.Context(), tt)
		require.NoError(t, err)
		return tr
	}
	require.Nil(t, take(target(uuid.New(), attempt.Rate{})))
	own := target(uuid.New(), attempt.NewRate(1, time.Hour, 1))
	require.Nil(t, take(own))
	for _, held := range []*attempt.Target{own, target(uuid.New(), attempt.Rate{})} {
		tr := take(held)
		require.Equal(t, attempt.HoldRate, tr.Hold)
		require.Equal(t, "the rate of its owner is used up", tr.Reason)
		require.Equal(t, attempt.StatePending, tr.State)
		require.Zero(t, tr.Attempts)
	}
	operator := target(uuid.New(), attempt.Rate{})
	operator.Sub.Owner = ""
	require.Nil(t, take(operator))
}

// A lease with which nothing was sent is there for the next one, of this process and then of
// any other: a rate of one an hour does not lose the hour.
func TestLeases_WhatIsNotSpentIsGivenBack(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	mine, ahead := newLeases(t, pool, nil)
	others, _ := newLeases(t, pool, nil)
	one := target(uuid.New(), attempt.NewRate(1, time.Hour, 1))
	take := func(l *Leases) (Lease, *attempt.Transition) {
		lease, tr, err := l.Take(t.Context(), one)
		require.NoError(t, err)
		return lease, tr
	}
	lease, tr := take(mine)
	require.Nil(t, tr)
	lease.Return()
	lease, tr = take(mine)
	require.Nil(t, tr)
	lease.Return()

	n, err := mine.GiveBack(t.Context())
	require.NoError(t, err)
	require.Zero(t, n, "it lasts still")
	*ahead = time.Second
	n, err = mine.GiveBack(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, tr = take(others)
	require.Nil(t, tr)
	_, tr = take(mine)
	require.NotNil(t, tr, "it was given back once")
}

// What was leased is lost if somebody has leased since, rather than given out twice.
func TestLeases_NothingIsGivenBackOverALaterLease(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	mine, ahead := newLeases(t, pool, nil)
	others, _ := newLeases(t, pool, nil)
	one := target(uuid.New(), attempt.NewRate(1, time.Hour, 2))
	lease, tr, err := mine.Take(t.Context(), one)
	require.NoError(t, err)
	require.Nil(t, tr)
	_, tr, err = others.Take(t.Context(), one)
	require.NoError(t, err)
	require.Nil(t, tr)
	lease.Return()
	*ahead = time.Second
	n, err := mine.GiveBack(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// While deliveries are held for a rate, one that was not held yet is held as well: they go
// first. It asks nobody.
func TestCheck_WhatIsHeldGoesFirst(t *testing.T) {
	t.Parallel()
	l, ahead := newLeases(t, pgtest.Pool(t), nil)
	fresh := target(uuid.New(), attempt.NewRate(1, time.Hour, 1))
	require.Nil(t, l.Check(fresh))
	require.True(t, fresh.Rated)
	for range 2 {
		_, _, err := l.Take(t.Context(), fresh)
		require.NoError(t, err)
	}
	released := target(fresh.Sub.ID, fresh.Sub.Rate)
	released.Seq = 2
	require.Equal(t, attempt.HoldRate, l.Check(released).Hold, "the rate has none")
	*ahead = askAgain + time.Second
	require.Nil(t, l.Check(released))
	require.Equal(t, attempt.HoldRate, l.Check(fresh).Hold)
	*ahead = backlogLapse + time.Second
	require.Nil(t, l.Check(fresh))
}

// A database that cannot be asked holds nobody as if the rate were used up.
func TestTake_WhatCannotBeAskedIsTriedAgain(t *testing.T) {
	t.Parallel()
	l, _ := newLeases(t, pgtest.Pool(t), nil)
	l.Close()
	one := target(uuid.New(), attempt.NewRate(1, time.Second, 1))
	_, tr, err := l.Take(t.Context(), one)
	require.NoError(t, err)
	require.True(t, tr.Again)
	require.Empty(t, tr.Hold)

	ended, end := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	end(stopped)
	_, tr, err = l.Take(ended, one)
	require.Nil(t, tr)
	require.ErrorIs(t, err, stopped)
}
