package drain

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newDrainer makes a drainer that does nothing but to run jobs by dispatch.
func newDrainer(pool *pgxpool.Pool, dispatch func(ctx context.Context, job *rivertype.JobRow) error) *Drainer {
	nothing := func(context.Context) error { return nil }
	return &Drainer{
		Clock:    &Clock{},
		Dispatch: dispatch,
		Maintain: nothing,
		Process:  "one",
		Queues:   []string{jobs.QueueDeliver},
		Store:    store.In(pool, "riverhook"),
		Verify:   nothing,
		Waits: Waits{
			Hold:         time.Hour,
			Host:         time.Hour,
			Verification: time.Hour,
		},
	}
}

// insert makes jobs that are due after so many seconds.
func insert(t *testing.T, pool *pgxpool.Pool, after int) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at)
		VALUES ('{}', 'riverhook_deliver', 1000, 'deliver', CASE WHEN $1 = 0 THEN 'available' ELSE 'scheduled' END::riverhook.river_job_state,
			now() + make_interval(secs => $1))`, after)
	require.NoError(t, err)
}

func TestDrainer_RunsWhatIsDueAndWhatComesOfIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	var ran atomic.Int32
	d := newDrainer(pool, func(context.Context, *rivertype.JobRow) error {
		if ran.Add(1) == 1 {
			insert(t, pool, 0)
		}
		return nil
	})
	insert(t, pool, 0)
	insert(t, pool, 600)

	n, err := d.Run(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.EqualValues(t, 2, ran.Load())
}

func TestDrainer_LetsTimePassUpToWhatIsDue(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	var at []time.Duration
	d := newDrainer(pool, nil)
	started := time.Now()
	d.Dispatch = func(context.Context, *rivertype.JobRow) error {
		at = append(at, d.Clock.Now().Sub(started))
		return nil
	}
	insert(t, pool, 600)
	insert(t, pool, 1200)
	insert(t, pool, 7200)

	n, err := d.Run(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.InDelta(t, 600, at[0].Seconds(), 60)
	require.InDelta(t, 1200, at[1].Seconds(), 60)
	require.WithinDuration(t, started.Add(time.Hour), d.Clock.Now(), time.Minute)
}

func TestDrainer_StopsAtTheErrorOfAJob(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	failed := errors.New("it failed")
	d := newDrainer(pool, func(context.Context, *rivertype.JobRow) error { return failed })
	insert(t, pool, 0)

	n, err := d.Run(t.Context(), 0)
	require.ErrorIs(t, err, failed)
	require.Equal(t, 1, n)
}
