package outbox

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// storedTimes are those of one intent: OccurredAt, and the time in its key.
type storedTimes struct {
	Occurred time.Time
	Key      uuid.UUID
}

func timesOf(t *testing.T, tx pgx.Tx, ids ...string) []storedTimes {
	t.Helper()
	all := make([]storedTimes, len(ids))
	for i, id := range ids {
		err := tx.QueryRow(t.Context(), "SELECT occurred_at, id FROM riverhook.intent WHERE wire_id = $1", id).Scan(&all[i].Occurred, &all[i].Key)
		require.NoError(t, err)
	}
	return all
}

func TestEnqueue_TimeIsThatOfTheCallNotOfTheTransaction(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	client, err := New(nil)
	require.NoError(t, err)
	first, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer first.Rollback(t.Context())
	_, err = first.Exec(t.Context(), "SELECT now()")
	require.NoError(t, err)

	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(second pgx.Tx) error {
		_, err := client.Enqueue(t.Context(), second, named("paid"))
		return err
	}))
	_, err = client.Enqueue(t.Context(), first, named("refunded"))
	require.NoError(t, err)

	got := timesOf(t, first, "paid", "refunded")
	require.True(t, got[1].Occurred.After(got[0].Occurred), "the later state has the later time: %v, %v", got[0].Occurred, got[1].Occurred)
	require.Less(t, got[0].Key.String(), got[1].Key.String())
	require.NoError(t, first.Commit(t.Context()))
}

func TestEnqueue_IDAndTimeAreOneReadingOfTheClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, err := b.client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	many, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), valid()})
	require.NoError(t, err)
	for _, got := range timesOf(t, b.tx, one.ID, many[0].ID, many[1].ID) {
		sec, nsec := got.Key.Time().UnixTime()
		require.Equal(t, got.Occurred.UnixMilli(), time.Unix(sec, nsec).UnixMilli())
	}
}

func TestEnqueue_TimeNeverGoesBackWithinATransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	// As if the clock had been a minute ahead at the intent before.
	_, err := b.tx.Exec(t.Context(), `SELECT set_config('riverhook.last_event',
		((extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 60000000)::text, true)`)
	require.NoError(t, err)
	var ids []string
	for range 3 {
		res, err := b.client.Enqueue(t.Context(), b.tx, valid())
		require.NoError(t, err)
		many, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{valid(), valid()})
		require.NoError(t, err)
		ids = append(ids, res.ID, many[0].ID, many[1].ID)
	}
	got := timesOf(t, b.tx, ids...)
	require.Greater(t, time.Until(got[0].Occurred), 50*time.Second)
	for i := 1; i < len(got); i++ {
		require.True(t, got[i].Occurred.After(got[i-1].Occurred), "intent %d", i)
		require.Less(t, got[i-1].Key.String(), got[i].Key.String(), "intent %d", i)
	}
}

func TestEnqueue_ForgedReadingOfTheClockIsIgnored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.tx.Exec(t.Context(), "SELECT set_config('riverhook.last_event', '32503680000000000', false)") // the year 3000
	require.NoError(t, err)
	res, err := b.client.Enqueue(t.Context(), b.tx, valid())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), timesOf(t, b.tx, res.ID)[0].Occurred, time.Minute)
}
