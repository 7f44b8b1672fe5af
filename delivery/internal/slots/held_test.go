package slots

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestLimiter_HeldDeliveriesAreReleasedWhenAShareOfTheSlotsIsFree(t *testing.T) {
	t.Parallel()
	l := newLimiter(8)
	id := newEndpoint()
	now := time.Now()
	require.Zero(t, l.wantsRelease(id, now), "an endpoint that nobody knows")
	require.Equal(t, 8, l.offer(id, 0, now))
	require.Zero(t, l.wantsRelease(id, now), "while another releases")
	l.released(id, 8, 8, now)
	require.Zero(t, l.wantsRelease(id, now), "the released ones are on their way")
	for range 8 {
		require.True(t, l.Acquire(t.Context(), id, 0))
	}
	l.Leave(id)
	require.Zero(t, l.wantsRelease(id, now), "one slot is not worth a statement")
	l.Leave(id)
	require.Equal(t, 2, l.wantsRelease(id, now))
	l.released(id, 2, 0, now)
	require.Zero(t, l.wantsRelease(id, now), "nothing is held any more")
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

	wanted, err := r.Found(t.Context(), key, 0)
	require.NoError(t, err)
	require.Equal(t, 3, wanted)
	require.Equal(t, 5, stillHeld(t, pool, key.SubscriptionID))
	require.NoError(t, r.Next(t.Context(), key), "the released ones are on their way")
	require.Equal(t, 5, stillHeld(t, pool, key.SubscriptionID))

	require.True(t, l.Acquire(t.Context(), key, 0))
	l.Leave(key)
	require.NoError(t, r.Next(t.Context(), key))
	require.Equal(t, 4, stillHeld(t, pool, key.SubscriptionID))
}
