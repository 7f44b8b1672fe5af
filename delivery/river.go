package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/jobs"
)

const (
	// fetchCooldown and pollInterval were measured: a cooldown of a millisecond
	// makes one hop from commit to wire, and the poll finds what a debounced
	// notification did not tell.
	fetchCooldown = time.Millisecond
	pollInterval  = 100 * time.Millisecond

	// completedRetention is short, since the history is in our own tables.
	completedRetention = 5 * time.Minute

	// neverRescued turns River's rescuer off. It compares the clock of its process
	// with the database's; our own release of jobs needs only the latter.
	neverRescued = 100 * 365 * 24 * time.Hour

	// stallWait is the wait after the database, or a tree of the application, could not be
	// asked. It doubles.
	stallWait    = time.Second
	maxStallWait = 16 * time.Second

	// fullWait, and up to fullSpread more, is the wait of a job after it has waited for bytes
	// in vain. Meanwhile its worker does what needs none.
	fullWait   = time.Second
	fullSpread = 3 * time.Second
)

// queues are those that an engine works at. Others of the schema are not its own.
func queues() []string { return []string{jobs.QueueChunk, jobs.QueueDeliver, jobs.QueueExpand} }

// newRiver makes a client, and what closes the connections that it has for itself.
func (e *Engine) newRiver(ctx context.Context) (client *river.Client[pgx.Tx], closePool func(), err error) {
	workers := river.NewWorkers()
	err = errors.Join(
		river.AddWorkerSafely(workers, &worker[jobs.Expand]{engine: e}),
		river.AddWorkerSafely(workers, &worker[jobs.Chunk]{engine: e}),
		river.AddWorkerSafely(workers, &worker[jobs.Decide]{engine: e}),
		river.AddWorkerSafely(workers, &worker[jobs.Deliver]{engine: e}),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("register workers: %w", err)
	}
	indexes, err := e.heart.RiverIndexes(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("river: %w", err)
	}
	cfg := &river.Config{
		CompletedJobRetentionPeriod: completedRetention,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           pollInterval,
		ID:                          e.heart.Process(),
		JobTimeout:                  -1,
		Logger:                      e.heart.River(),
		MaxAttempts:                 jobs.MaxAttempts,
		PollOnly:                    e.cfg.PollOnly,
		Queues:                      map[string]river.QueueConfig{},
		ReindexerIndexNames:         indexes,
		ReindexerSchedule:           e.reindexes,
		RescueStuckJobsAfter:        neverRescued,
		RetryPolicy:                 retryPolicy{},
		Schema:                      e.cfg.Schema,
		Workers:                     workers,
	}
	for _, queue := range queues() {
		cfg.Queues[queue] = river.QueueConfig{MaxWorkers: e.cfg.Limits.Workers}
	}
	pool, closePool, err := e.heart.RiverPool(ctx)
	if err != nil {
		return nil, nil, err
	}
	if client, err = river.NewClient(riverpgxv5.New(pool), cfg); err != nil {
		closePool()
		return nil, nil, fmt.Errorf("river: %w", err)
	}
	return client, closePool, nil
}

// retryPolicy is for errors of jobs, which are never HTTP outcomes.
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(retryWait(len(job.Errors)))
}

// retryWait is the wait after an error of a job that had so many before.
func retryWait(failures int) time.Duration { return min(time.Second<<min(failures, 6), time.Minute) }

type worker[T river.JobArgs] struct {
	river.WorkerDefaults[T]

	engine *Engine
}

func (w *worker[T]) Work(ctx context.Context, job *river.Job[T]) error {
	w.engine.taker.Begin(job.JobRow)
	defer w.engine.taker.End(job.JobRow)
	return w.engine.work(ctx, job.JobRow)
}

// work does one of our River jobs. Its error is never an HTTP outcome: what
// became of a delivery is in our rows by then. While the database cannot be
// written it waits, and keeps its worker: River could not even write down that the
// job is to come again.
func (e *Engine) work(ctx context.Context, job *rivertype.JobRow) error {
	err := e.dispatch(ctx, job)
	for stalledByOutage(ctx, e.heart, err) && e.heart.AwaitAfter(ctx) {
		err = e.dispatch(ctx, job)
	}
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(err, payloads.ErrFull):
		e.log.DebugContext(ctx, "riverhook: job waits", "kind", job.Kind, "job", job.ID, "error", err)
		return river.JobSnooze(fullWait + time.Duration(e.random()*float64(fullSpread)))
	case callbacks.IsStall(err) && !record.IsUnrecorded(err):
		e.log.WarnContext(ctx, "riverhook: job waits", "kind", job.Kind, "job", job.ID, "error", err)
		return river.JobSnooze(nextStallWait(job))
	default:
		e.log.ErrorContext(ctx, "riverhook: job failed", "kind", job.Kind, "job", job.ID, "error", err)
		return err
	}
}

// nextStallWait grows with the waits that River has counted for the job.
func nextStallWait(job *rivertype.JobRow) time.Duration {
	var counted struct {
		Snoozes uint `json:"snoozes"`
	}
	_ = json.Unmarshal(job.Metadata, &counted) // what others have written there does not matter
	return min(stallWait<<min(counted.Snoozes, 10), maxStallWait)
}

// stalledByOutage is true of the error of a job that can be run again as if nothing
// had happened, as soon as the database can be written.
func stalledByOutage(ctx context.Context, heart *heartbeat.Heart, err error) bool {
	if err == nil || record.IsUnrecorded(err) {
		return false
	}
	stall := (*callbacks.StallError)(nil)
	return heart.Down() || errors.As(err, &stall) && heart.Outage(ctx, stall.Err)
}

func (e *Engine) dispatch(ctx context.Context, job *rivertype.JobRow) (err error) {
	e.runs.Begin(job.ID)
	defer e.runs.End(job.ID)
	defer func() { e.causes.Ended(job.ID, err) }()
	var args struct {
		IntentID   uuid.UUID `json:"intent_id"`
		AfterID    uuid.UUID `json:"after_id"`
		DeliveryID uuid.UUID `json:"delivery_id"`
	}
	if err := json.Unmarshal(job.EncodedArgs, &args); err != nil {
		return fmt.Errorf("delivery: arguments of job %d: %w", job.ID, err)
	}
	by := callbacks.JobRef{
		JobID: job.ID,
		Rerun: job.Attempt > 1,
		Died:  job.Attempt > 1+len(job.Errors),
		Share: turns.ShareOf(job),
	}
	switch job.Kind {
	case jobs.Expand{}.Kind(), jobs.Chunk{}.Kind():
		return e.expander.Expand(ctx, by, len(job.Errors), args.IntentID, args.AfterID)
	case jobs.Decide{}.Kind():
		return e.reevaluator.Reevaluate(ctx, by, args.IntentID)
	case jobs.Deliver{}.Kind():
		return e.sender.Later(ctx, by, args.DeliveryID, time.Now())
	default:
		return fmt.Errorf("delivery: job %d is of unknown kind %q", job.ID, job.Kind)
	}
}
