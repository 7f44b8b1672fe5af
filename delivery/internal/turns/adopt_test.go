package turns

import (
	"context"
	"errors"
	"testing"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// release makes a job of a share that runs in a process.
func (b *bundle) release(t *testing.T, process, share string) *rivertype.JobRow {
	t.Helper()
	job := &rivertype.JobRow{
		Attempt:     1,
		Kind:        jobs.Expand{}.Kind(),
		MaxAttempts: jobs.MaxAttempts,
		Queue:       jobs.QueueExpand,
		State:       rivertype.JobStateRunning,
		Tags:        []string{share},
	}
	require.NoError(t, b.pool.QueryRow(t.Context(), `
		INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at, tags, attempt, attempted_at, attempted_by)
		SELECT j.args, j.kind, j.max_attempts, j.queue, 'running', now(), ARRAY[$1::text], 1, now(), ARRAY[$2::text]
		FROM riverhook.job_expand(gen_random_uuid(), 'a', now()) j RETURNING id`, share, process).Scan(&job.ID))
	b.expect(job.ID)
	return job
}

func TestAdopt_DoesItsJobsBesideTheWorkersAndEndsThem(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 8)
	b.Start(t.Context())
	failed := errors.New("the second step failed")

	err := b.Adopt(func(process string) ([]*rivertype.JobRow, error) {
		require.Equal(t, b.cfg.Process, process)
		return []*rivertype.JobRow{b.release(t, process, "a"), b.release(t, process, "a"), b.release(t, process, "b")}, failed
	})

	require.ErrorIs(t, err, failed)
	require.Len(t, b.runs.Jobs(), 3, "what was made is done nevertheless")
	l := b.loads[jobs.QueueExpand]
	require.Zero(t, l.taken, "turns keep their places")
	require.Equal(t, map[string]int{"a": 2, "b": 1}, l.shares)
	b.letGo(t, nil)
	require.Equal(t, 3, count(t, b.pool, "state = 'completed'"))
	require.Empty(t, l.shares)
	require.NoError(t, b.Adopt(func(string) ([]*rivertype.JobRow, error) {
		t.Fatal("a taker that rests releases nothing")
		return nil, nil
	}))
}

// Stop waits for a release that has begun, and for its jobs.
func TestAdopt_StopWaitsForARelease(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 8)
	b.Start(t.Context())
	begun := make(chan struct{})
	stopped := make(chan error, 1)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	go func() {
		<-begun
		stopped <- b.Stop(over)
	}()

	require.NoError(t, b.Adopt(func(process string) ([]*rivertype.JobRow, error) {
		close(begun)
		require.ErrorIs(t, <-stopped, context.Canceled)
		return []*rivertype.JobRow{b.release(t, process, "a")}, nil
	}))
	b.letGo(t, nil)

	require.Equal(t, 1, count(t, b.pool, "state = 'completed'"))
}

func TestAdopt_WithoutAStartedTakerRiverFetchesTheJobs(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 8)
	called := false

	err := b.Adopt(func(process string) ([]*rivertype.JobRow, error) {
		called = process == ""
		return []*rivertype.JobRow{{ID: 1, Queue: jobs.QueueExpand}}, nil
	})

	require.NoError(t, err)
	require.True(t, called)
	require.Empty(t, b.runs.Jobs())
}
