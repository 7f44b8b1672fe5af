package rates

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

// newReleaser makes that of an engine which can make so many requests, and has found
// subscriptions with held deliveries.
func newReleaser(
	t *testing.T, pool *pgxpool.Pool, capacity int, ofOwner func(string) attempt.Rate, found ...*attempt.Target,
) (*Releaser, *Leases) {
	t.Helper()
	l, _ := newLeases(t, pool, ofOwner)
	for _, one := range found {
		l.Found(one)
	}
	return &Releaser{
		Capacity: func(*attempt.Target, time.Duration) int { return capacity },
		Ahead:    Ahead(time.Second),
		Leases:   l,
		Store:    store.Frequent(pool, "riverhook"),
	}, l
}

// hold makes a subscription that has a rate, with so many held deliveries.
func hold(t *testing.T, pool *pgxpool.Pool, rate attempt.Rate, n int) *attempt.Target {
	t.Helper()
	var id uuid.UUID
	err := pool.QueryRow(background, `INSERT INTO riverhook.subscription (id, site, url, events, owner, dialect)
		VALUES (riverhook.new_id(), '/', 'https://example.com/', '{**}', 'ann', 'standard') RETURNING id`).Scan(&id)
	require.NoError(t, err)
	_, err = pool.Exec(background, `INSERT INTO riverhook.delivery
			(id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since)
		SELECT riverhook.new_id(), riverhook.new_id(), $1, 'standard', '/', 1, 'rate', now() FROM generate_series(1, $2)`, id, n)
	require.NoError(t, err)
	_, err = pool.Exec(background, `INSERT INTO riverhook.rate (key) VALUES ($1), ('oann') ON CONFLICT DO NOTHING`, subscriptionKey(id))
	require.NoError(t, err)
	return target(id, rate)
}

// due is when the released deliveries of a subscription are due from now, the oldest first.
func due(t *testing.T, pool *pgxpool.Pool, of *attempt.Target) (all []time.Duration) {
	t.Helper()
	rows, err := pool.Query(background, `SELECT (extract(epoch FROM d.due_at - min(d.due_at) OVER ()) * 1000)::bigint
		FROM riverhook.delivery d JOIN riverhook.river_job j ON j.id = d.job_id AND j.scheduled_at = d.due_at AND j.state = 'available'
		WHERE d.subscription_id = $1 AND d.hold = '' AND d.reason LIKE 'it goes out at %' ORDER BY d.intent_id`, of.Sub.ID)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var ms int64
		require.NoError(t, rows.Scan(&ms))
		all = append(all, time.Duration(ms)*time.Millisecond)
	}
	return all
}

// What is held goes on in order, one after another as the rate has it, and however many
// engines release no more of it.
func TestReleaser_ReleasesWhatTheRateHas(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	one := hold(t, pool, attempt.NewRate(5, time.Second, 3), 100)
	total := 0
	for range 3 {
		r, _ := newReleaser(t, pool, 1000, nil, one)
		n, err := r.Run(t.Context())
		require.NoError(t, err)
		total += n
	}
	const most = 3 + 2*5 // and what the rate has had while the test ran
	all := due(t, pool, one)
	require.Len(t, all, total)
	require.GreaterOrEqual(t, total, most)
	require.Equal(t, []time.Duration{0, 0, 0}, all[:3], "the burst")
	for i, at := range all[3:most] {
		require.InDelta(t, time.Duration(i+1)*200*time.Millisecond, at, float64(10*time.Millisecond))
	}
	var elapsed float64
	require.NoError(t, pool.QueryRow(background, `SELECT extract(epoch FROM max(released_until) - now())
		FROM riverhook.rate WHERE key <> 'oann'`).Scan(&elapsed))
	require.LessOrEqual(t, elapsed, 2+3*0.2+0.001, "no more is released than up to then")
}

// What goes out in time is no more than the endpoint can take.
func TestReleaser_ReleasesNoMoreThanTheEndpointCanTake(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	one := hold(t, pool, attempt.NewRate(1000, time.Second, 1000), 100)
	r, _ := newReleaser(t, pool, 7, nil, one)
	n, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, n)
}

// The rate of an owner is shared by its subscriptions, and no round leaves it to the first.
func TestReleaser_SharesTheRateOfAnOwner(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	slow := hold(t, pool, attempt.NewRate(1, time.Hour, 2), 50)
	all := []*attempt.Target{slow, hold(t, pool, attempt.Rate{}, 50), hold(t, pool, attempt.Rate{}, 50)}
	r, _ := newReleaser(t, pool, 1000, func(string) attempt.Rate { return attempt.NewRate(1, time.Hour, 10) }, all...)
	n, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.Len(t, due(t, pool, slow), 2)
	for _, other := range all[1:] {
		require.Len(t, due(t, pool, other), 4)
	}
}

// What was released and has leased nothing is not waited for: its engine may have died.
func TestReleaser_ForgetsWhatHasLeasedNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	one := hold(t, pool, attempt.NewRate(1, time.Hour, 1), 10)
	run := func() int { // of one engine after the other
		r, _ := newReleaser(t, pool, 1000, nil, one)
		n, err := r.Run(t.Context())
		require.NoError(t, err)
		return n
	}
	require.Equal(t, 1, run())
	require.Zero(t, run())
	_, err := pool.Exec(background, `UPDATE riverhook.rate SET released_at = released_at - interval '6 s'`)
	require.NoError(t, err)
	require.Equal(t, 1, run())
}

// After the last held deliveries are released, a new delivery does not wait for them any more.
func TestReleaser_EndsABacklog(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	one := hold(t, pool, attempt.NewRate(10, time.Second, 10), 35)
	r, l := newReleaser(t, pool, 20, nil, one)
	run := func() {
		_, err := r.Run(t.Context())
		require.NoError(t, err)
	}
	run()
	require.Equal(t, attempt.HoldRate, l.Check(one).Hold)
	_, err := pool.Exec(background, `UPDATE riverhook.rate SET released_until = now()`)
	require.NoError(t, err)
	run()
	require.Nil(t, l.Check(one))
	require.Empty(t, l.held)
}

// A round reads only of subscriptions whose rates may have some, however many are held; one
// that is paused by then is not released, and is forgotten until it is found again.
func TestReleaser_ARoundLeavesAloneWhatHasNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	empty := hold(t, pool, attempt.NewRate(1, time.Hour, 1), 3)
	r, l := newReleaser(t, pool, 20, nil, empty)
	_, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Empty(t, l.due(10))
	require.Len(t, l.held, 1)
	raised := target(empty.Sub.ID, attempt.NewRate(1, time.Second, 1))
	l.Found(raised)
	require.Len(t, l.due(10), 1, "its rate is another now")

	for _, change := range []string{"rate SET released_until = now()", "subscription SET state = 'paused'"} {
		_, err = pool.Exec(background, `UPDATE riverhook.`+change)
		require.NoError(t, err)
	}
	n, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Empty(t, l.held)
}
