package delivery_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"
)

type appJob struct{}

func (appJob) Kind() string { return "app_report" }

type appWorker struct {
	river.WorkerDefaults[appJob]

	worked atomic.Int32
}

func (w *appWorker) Work(context.Context, *river.Job[appJob]) error {
	w.worked.Add(1)
	return nil
}

// An application's River in the public schema, with a periodic job and a job
// that got stuck in another process, and Riverhook's in its own: neither may
// touch, discard or prune what is the other's.
func TestRiver_AnApplicationsOwnIsUndisturbed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBundle(t)
	driver := riverpgxv5.New(b.pool)
	migrator, err := rivermigrate.New(driver, nil)
	require.NoError(t, err)
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	worker := &appWorker{}
	workers := river.NewWorkers()
	require.NoError(t, river.AddWorkerSafely(workers, worker))
	app, err := river.NewClient(driver, &river.Config{
		FetchPollInterval: 100 * time.Millisecond,
		Logger:            slog.New(slog.DiscardHandler),
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(
			river.PeriodicInterval(time.Hour), func() (river.JobArgs, *river.InsertOpts) { return appJob{}, nil },
			&river.PeriodicJobOpts{RunOnStart: true})},
		Queues:   map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 5}},
		TestOnly: true,
		Workers:  workers,
	})
	require.NoError(t, err)
	// A leader that does not know its kind would discard this job.
	_, err = b.pool.Exec(ctx, `INSERT INTO public.river_job (state, attempt, max_attempts, attempted_at, attempted_by, args, kind, queue)
		VALUES ('running', 1, 25, now() - interval '2 hours', '{gone}', '{"stuck": true}', 'app_report', 'default')`)
	require.NoError(t, err)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	b.start(b.engine(nil))
	require.NoError(t, app.Start(ctx))
	t.Cleanup(func() { require.NoError(t, app.Stop(context.Background())) })

	id := b.enqueue(nil)

	_, err = receiver.Wait(ctx, 1)
	require.NoError(t, err)
	b.eventually(func() bool { return worker.worked.Load() >= 1 })
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, 1, b.count(`SELECT count(*) FROM public.river_job WHERE args ? 'stuck' AND state <> 'discarded'`))
	require.Zero(t, b.count(`SELECT count(*) FROM public.river_job WHERE kind LIKE 'riverhook%'`))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE kind NOT LIKE 'riverhook%'`))
	require.Equal(t, 2, b.count(`SELECT count(*) FROM pg_stat_user_tables WHERE relname = 'river_leader'`))
}
