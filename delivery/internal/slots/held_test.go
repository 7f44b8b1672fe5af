package slots

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

// next is what is released of a share, in the order of its endpoints.
func next(l *Limiter, now time.Time) (most []int, all []wanted) {
	all = l.nextReleases("/acme", attempt.EndpointKey{}, now)
	for _, w := range all {
		most = append(most, w.most)
	}
	return most, all
}

func TestLimiter_HeldDeliveriesAreReleasedWhenAPartOfTheSlotsIsFree(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	id := newEndpoint()
	now := time.Now()
	most, _ := next(l, now)
	require.Empty(t, most, "an endpoint that nobody knows")
	l.found(id.EndpointKey(), 0, id.Share)
	most, asked := next(l, now)
	require.Equal(t, []int{8}, most)
	most, _ = next(l, now)
	require.Empty(t, most, "while another releases")
	l.released(asked[0], 8, now)
	most, _ = next(l, now)
	require.Empty(t, most, "the released ones are on their way")
	for range 8 {
		require.True(t, l.Acquire(t.Context(), id))
	}
	l.Leave(id.EndpointKey())
	most, _ = next(l, now)
	require.Empty(t, most, "one slot is not worth a statement")
	l.Leave(id.EndpointKey())
	most, asked = next(l, now)
	require.Equal(t, []int{2}, most)
	l.released(asked[0], 0, now)
	most, _ = next(l, now)
	require.Empty(t, most, "nothing is held any more")
}

// Three endpoints of one share have held deliveries, and the share has room for those of one
// at a time.
func TestLimiter_ReleasesByTurnsOfEndpointsAndAsManyAsTheShareHasRoomFor(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	l.Process = NewTurns(9)
	now := time.Now()
	endpoints := []*attempt.Target{newEndpoint(), newEndpoint(), newEndpoint()}
	for _, at := range endpoints {
		l.found(at.EndpointKey(), 0, at.Share)
	}
	for i := range 6 {
		most, asked := next(l, now)
		require.Equal(t, []int{8}, most)
		require.Equal(t, endpoints[i%3].EndpointKey(), asked[0].key)
		l.released(asked[0], 8, now)
		most, _ = next(l, now)
		require.Empty(t, most, "the share has room for those that are on their way, and no more")
		for range 8 {
			require.True(t, l.Acquire(t.Context(), endpoints[i%3]))
			l.Leave(endpoints[i%3].EndpointKey())
		}
	}
	busy := make([]Slot, 8)
	for i := range busy {
		busy[i], _ = l.Process.Acquire(t.Context(), Share{Name: "/acme"})
	}
	most, _ := next(l, now)
	require.Empty(t, most, "the share has no slot of the process")
	busy[0].Leave()
	most, _ = next(l, now)
	require.Empty(t, most, "one is not worth a statement")
	busy[1].Leave()
	most, _ = next(l, now)
	require.Equal(t, []int{2}, most)
}

// What a pause holds does not come for a slot, so it is not released again until maintenance
// has found that the subscription is active.
func TestLimiter_WhatIsBlockedIsNotReleasedAgain(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	id := newEndpoint()
	now := time.Now()
	l.found(id.EndpointKey(), 0, id.Share)
	_, asked := next(l, now)
	l.released(asked[0], 8, now)
	for range 8 {
		l.Blocked(id.EndpointKey())
	}
	most, _ := next(l, now)
	require.Empty(t, most)
	l.found(id.EndpointKey(), 0, id.Share)
	most, _ = next(l, now)
	require.Equal(t, []int{8}, most, "none is on its way")
}

// An endpoint with a rate is remembered while it gets nothing, and how fast it has answered:
// by that, and not by its slots, its rate is used. One that frees no slot is not believed to be fast.
func TestLimiter_TheCapacityOfARatedEndpointIsWhatItTakesAndNotItsSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, rated := newLimiter(2), newEndpoint()
		key := rated.EndpointKey()
		rated.Rated = true
		require.Equal(t, 2, l.Capacity(rated, 2*time.Second), "nothing is known of it")
		for range 3 {
			require.True(t, l.Acquire(t.Context(), rated))
			l.learn(key, attempt.OutcomeDelivered, 8*time.Millisecond, time.Now())
			l.Leave(key)
		}
		require.Greater(t, l.Capacity(rated, 2*time.Second), 500)

		for range 2 {
			require.True(t, l.Acquire(t.Context(), rated))
		}
		require.Greater(t, l.Capacity(rated, 2*time.Second), 500)
		<-time.After(500 * time.Millisecond)
		require.Equal(t, 4, l.Capacity(rated, 2*time.Second), "its slots are taken for a while")
		<-time.After(3 * time.Second)
		require.Zero(t, l.Capacity(rated, 2*time.Second))
		l.Leave(key)
		l.Leave(key)

		rated.Rated = false
		require.True(t, l.Acquire(t.Context(), rated))
		l.Leave(key)
		require.Zero(t, l.Endpoints(), "it has no rate any more")
	})
}

// held makes a subscription with so many held deliveries.
func held(t *testing.T, pool *pgxpool.Pool, n int) (key attempt.EndpointKey) {
	t.Helper()
	key.URLVersion = 1
	err := pool.QueryRow(t.Context(), `INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
		VALUES (riverhook.new_id(), '/', 'https://example.com', '{**}', true, 'standard') RETURNING id`).Scan(&key.SubscriptionID)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `INSERT INTO riverhook.delivery
			(id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since)
		SELECT riverhook.new_id(), riverhook.new_id(), $1, 'standard', '/', 1, 'slots', now()
		FROM generate_series(1, $2)`, key.SubscriptionID, n)
	require.NoError(t, err)
	return key
}

func stillHeld(t *testing.T, pool *pgxpool.Pool, subscription uuid.UUID) (n int) {
	t.Helper()
	err := pool.QueryRow(context.Background(), `SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND hold = 'slots'`,
		subscription).Scan(&n)
	require.NoError(t, err)
	return n
}

func TestReleaser_ReleasesAsManyAsThereAreFreeSlots(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	l := newLimiter(3)
	r := NewReleaser(l, store.Frequent(pool, "riverhook"), batch.Config{})
	defer r.Close()
	key := held(t, pool, 8)

	r.Found(key, 0, "/acme")
	wanted, err := r.All(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, wanted)
	require.Equal(t, 5, stillHeld(t, pool, key.SubscriptionID))
	require.NoError(t, r.Next(t.Context(), "/acme", key), "the released ones are on their way")
	require.Equal(t, 5, stillHeld(t, pool, key.SubscriptionID))

	require.True(t, l.Acquire(t.Context(), &attempt.Target{Share: "/acme", Sub: attempt.Subscription{ID: key.SubscriptionID, URLVersion: 1}}))
	l.Leave(key)
	require.NoError(t, r.Next(t.Context(), "/acme", key))
	require.Equal(t, 4, stillHeld(t, pool, key.SubscriptionID))
}
