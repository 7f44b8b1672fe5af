package pginbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// houseInterval is the time between two rounds of housekeeping.
	houseInterval = 3 * time.Second

	// These are River's, for the same reasons as in package delivery.
	completedRetention = 5 * time.Minute
	fetchCooldown      = time.Millisecond
	neverRescued       = 100 * 365 * 24 * time.Hour
	pollInterval       = 100 * time.Millisecond
)

func (in *Inbox) newRiver() (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{inbox: in}); err != nil {
		return nil, fmt.Errorf("pginbox: register the worker: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(in.pool), &river.Config{
		CompletedJobRetentionPeriod: completedRetention,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           pollInterval,
		ID:                          in.heart.Process(),
		JobTimeout:                  -1,
		Logger:                      in.heart.River(),
		MaxAttempts:                 jobs.MaxAttempts,
		PollOnly:                    in.cfg.PollOnly,
		Queues:                      map[string]river.QueueConfig{jobs.QueueInbox: {MaxWorkers: in.cfg.MaxWorkers}},
		RescueStuckJobsAfter:        neverRescued,
		Schema:                      in.cfg.Schema,
		Workers:                     workers,
	})
	if err != nil {
		return nil, fmt.Errorf("pginbox: river: %w", err)
	}
	return client, nil
}

type worker struct {
	river.WorkerDefaults[jobs.Receive]

	inbox *Inbox
}

// Work never fails: our row says what became of the event, and River is only told when to
// come again. While the database cannot be written it waits, since River could not even
// write that down.
func (w *worker) Work(ctx context.Context, job *river.Job[jobs.Receive]) error {
	again, err := w.inbox.work(ctx, job.Args)
	for err != nil && w.inbox.heart.Outage(err) && w.inbox.heart.AwaitAfter(ctx) {
		again, err = w.inbox.work(ctx, job.Args)
	}
	if err != nil {
		w.inbox.cfg.Logger.WarnContext(ctx, "pginbox: an event waits", "event", job.Args.EventID, "error", err)
		again = stallWait
	}
	if again > 0 {
		return river.JobSnooze(again)
	}
	return nil
}

func (in *Inbox) work(ctx context.Context, args jobs.Receive) (again time.Duration, err error) {
	a, err := in.load(ctx, args.EventID)
	if a == nil || err != nil {
		return 0, err
	}
	return a.run(ctx)
}

// Start has this process work events until Stop, and returns at once; ctx is for the start
// alone. It fails where the database is not migrated. An inbox can be started once.
func (in *Inbox) Start(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.started {
		return errors.New("pginbox: start: it was started before")
	}
	if err := migration.Check(ctx, in.pool, in.cfg.Schema); err != nil {
		return fmt.Errorf("pginbox: start: %w", err)
	}
	if err := in.heart.Start(ctx); err != nil {
		return fmt.Errorf("pginbox: start: %w", err)
	}
	loopCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	if err := in.river.Start(loopCtx); err != nil {
		stop()
		return fmt.Errorf("pginbox: start river: %w", err)
	}
	in.started, in.stop = true, stop
	in.loop.Go(func() { in.heart.Run(loopCtx) })
	in.loop.Go(func() { in.keepHouse(loopCtx) })
	return nil
}

// Stop takes no new events, lets the attempts under way come to their end until ctx or
// Config.StopTimeout ends, and then ends their contexts. What was not finished goes on
// elsewhere, or when an inbox starts again. Events can still be added. Stop
// of an inbox that was not started does nothing, nor does a second Stop.
func (in *Inbox) Stop(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stop == nil {
		return nil
	}
	soft, cancel := context.WithTimeout(ctx, in.cfg.StopTimeout)
	defer cancel()
	err := in.river.Stop(soft)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if err != nil {
		err = errors.Join(fmt.Errorf("pginbox: stop: attempts were interrupted: %w", err), in.river.StopAndCancel(last))
	}
	in.stop()
	in.stop = nil
	in.loop.Wait()
	return errors.Join(err, in.heart.Stop(last))
}

// keepHouse sees to what others have left.
func (in *Inbox) keepHouse(ctx context.Context) {
	for {
		if err := in.keepHouseOnce(ctx); err != nil && ctx.Err() == nil && !in.heart.Outage(err) {
			in.cfg.Logger.ErrorContext(ctx, "pginbox: maintenance", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(houseInterval):
		}
	}
}

func (in *Inbox) keepHouseOnce(ctx context.Context) error {
	if err := in.mendJobs(ctx); err != nil {
		return fmt.Errorf("make lost jobs anew: %w", err)
	}
	if _, err := in.store.PruneInbox(ctx, in.cfg.Retention.Milliseconds()); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

func (in *Inbox) mendJobs(ctx context.Context) error {
	return pgx.BeginFunc(ctx, in.pool, func(tx pgx.Tx) error {
		queries := store.In(tx, in.cfg.Schema)
		ids, err := queries.InboxEventsWithoutJob(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			job, err := in.insertJob(ctx, tx, id, 0)
			if err != nil {
				return err
			}
			if _, err := queries.SetInboxJob(ctx, &store.SetInboxJobParams{ID: id, JobID: job}); err != nil {
				return err
			}
		}
		return nil
	})
}
