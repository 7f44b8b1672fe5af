package pginbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// stopGrace is how long Stop goes on after its context has ended, to record what has
	// happened.
	stopGrace = 2 * time.Second

	// houseInterval is the time between two rounds of housekeeping.
	houseInterval = 3 * time.Second

	// These are River's, for the same reasons as in package delivery.
	completedRetention = 5 * time.Minute
	fetchCooldown      = time.Millisecond
	neverRescued       = 100 * 365 * 24 * time.Hour
	pollInterval       = 100 * time.Millisecond

	// reconcileRows is how many events one statement looks after.
	reconcileRows = 500

	// pruneRows is how many events one round forgets.
	pruneRows = 1000
)

// errStopped is why a Start ends early.
var errStopped = errors.New("it was stopped meanwhile")

// newRiver makes a client on a pool, which rebuilds indexes every night.
func (in *Inbox) newRiver(pool *pgxpool.Pool, indexes []string) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, &worker{inbox: in}); err != nil {
		return nil, fmt.Errorf("pginbox: register the worker: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		CompletedJobRetentionPeriod: completedRetention,
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           pollInterval,
		ID:                          in.heart.Process(),
		JobTimeout:                  -1,
		Logger:                      in.heart.River(),
		MaxAttempts:                 jobs.MaxAttempts,
		PollOnly:                    in.cfg.PollOnly,
		Queues:                      map[string]river.QueueConfig{jobs.QueueInbox: {MaxWorkers: in.cfg.MaxWorkers}},
		ReindexerIndexNames:         indexes,
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

// Work never fails: our row says what became of the event, and has the job of what is
// to come. River is told to come again only where nothing could be recorded. While the
// database cannot be written it waits, since River could not even write that down.
func (w *worker) Work(ctx context.Context, job *river.Job[jobs.Receive]) error {
	err := w.inbox.work(ctx, job)
	for err != nil && w.inbox.heart.Outage(ctx, err) && w.inbox.heart.AwaitAfter(ctx) {
		err = w.inbox.work(ctx, job)
	}
	if err != nil {
		w.inbox.cfg.Logger.WarnContext(ctx, "pginbox: an event waits", "event", job.Args.EventID, "error", err)
		return river.JobSnooze(stallWait)
	}
	return nil
}

func (in *Inbox) work(ctx context.Context, job *river.Job[jobs.Receive]) error {
	a, err := in.load(ctx, job.Args.EventID)
	if a == nil || err != nil {
		return err
	}
	if a.row.JobID != job.ID { // another has taken its place
		return nil
	}
	return a.run(ctx)
}

// Start has this process work events until Stop, and returns at once; ctx is for the start
// alone. It fails if the database is not migrated. An inbox can be started once.
func (in *Inbox) Start(ctx context.Context) error {
	leave, err := in.takeTurn(ctx)
	if err != nil {
		return fmt.Errorf("pginbox: start: %w", err)
	}
	defer leave()
	if in.started {
		return errors.New("pginbox: start: it was started before")
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	in.setEndStart(end)
	defer in.setEndStart(nil)
	if err := in.start(ctx); err != nil {
		return fmt.Errorf("pginbox: start: %w", cmp.Or(context.Cause(ctx), err))
	}
	return nil
}

// start does what waits for the database, up to the end of ctx.
func (in *Inbox) start(ctx context.Context) error {
	if err := migration.Check(ctx, in.pool, in.cfg.Schema); err != nil {
		return err
	}
	working, closePool, err := in.workingRiver(ctx)
	if err != nil {
		return err
	}
	if err := in.heart.Start(ctx); err != nil {
		closePool()
		return err
	}
	loopCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	inTime := context.AfterFunc(ctx, stop)
	if err := working.Start(loopCtx); err != nil {
		stop()
		closePool()
		return fmt.Errorf("river: %w", err)
	}
	inTime()
	in.started = true
	in.stop = stop
	in.working = working
	in.closePool = closePool
	in.loop.Go(func() { in.heart.Run(loopCtx) })
	in.loop.Go(func() { in.keepHouse(loopCtx) })
	return nil
}

// takeTurn waits until no Start and no Stop is under way.
func (in *Inbox) takeTurn(ctx context.Context) (leave func(), err error) {
	leave = func() { <-in.turn }
	select {
	case in.turn <- struct{}{}: // also after the end of ctx
		return leave, nil
	default:
	}
	select {
	case in.turn <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// setEndStart says how a Start that has its turn is ended, which a Stop can wait for already;
// nil: it is over.
func (in *Inbox) setEndStart(end context.CancelCauseFunc) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.endStart = end
	in.stopStart()
}

// stopStart ends a Start that a Stop waits for. It is called with mu held.
func (in *Inbox) stopStart() {
	if in.endStart != nil && in.stops > 0 {
		in.endStart(errStopped)
	}
}

// takeTurnToStop is takeTurn that ends a Start which is under way.
func (in *Inbox) takeTurnToStop(ctx context.Context) (leave func(), err error) {
	in.mu.Lock()
	in.stops++
	in.stopStart()
	in.mu.Unlock()
	defer func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.stops--
	}()
	return in.takeTurn(ctx)
}

// workingRiver makes the client that works on events, and what closes the connections that
// it has for itself.
func (in *Inbox) workingRiver(ctx context.Context) (*river.Client[pgx.Tx], func(), error) {
	indexes, err := in.heart.RiverIndexes(ctx)
	if err != nil {
		return nil, nil, err
	}
	pool, closePool, err := in.heart.RiverPool(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := in.newRiver(pool, indexes)
	if err != nil {
		closePool()
		return nil, nil, err
	}
	return client, closePool, nil
}

// Stop takes no new events, lets the attempts under way come to their end until ctx or
// Config.StopTimeout ends, and then ends their contexts. It returns when all of it is
// recorded, at the latest 2 s after ctx has ended, also while the database cannot be
// reached. What was not finished goes on elsewhere, or when an inbox starts again. Events
// can still be added. A Start that is under way fails. Stop of an inbox that was not started
// does nothing, nor does a second Stop.
func (in *Inbox) Stop(ctx context.Context) error {
	leave, err := in.takeTurnToStop(ctx)
	if err != nil {
		return fmt.Errorf("pginbox: stop: another is under way: %w", err)
	}
	defer leave()
	if in.stop == nil {
		return nil
	}
	soft, cancel := context.WithTimeout(ctx, in.cfg.StopTimeout)
	defer cancel()
	last, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, giveUp) })()
	err = in.working.Stop(soft)
	defer time.AfterFunc(writeTimeout, giveUp).Stop()
	if err != nil {
		err = errors.Join(fmt.Errorf("pginbox: stop: attempts were interrupted: %w", err), in.working.StopAndCancel(last))
	}
	in.stop()
	in.stop = nil
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in.closePool() // after River has stopped
		in.loop.Wait()
	}()
	select {
	case <-ended:
	case <-last.Done():
	}
	return errors.Join(err, in.heart.Stop(last))
}

// keepHouse sees to what others have left.
func (in *Inbox) keepHouse(ctx context.Context) {
	for {
		if err := in.keepHouseOnce(ctx); err != nil && ctx.Err() == nil && !in.heart.Outage(ctx, err) {
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
	for more := true; more; {
		mended, err := in.store.ReconcileInbox(ctx, &store.ReconcileInboxParams{
			LateMs:  jobs.LateAfter.Milliseconds(),
			EarlyMs: jobs.EarlyBy.Milliseconds(),
			MaxRows: reconcileRows,
		})
		if err != nil {
			return fmt.Errorf("find lost and late jobs: %w", err)
		}
		if len(mended) > 0 {
			in.cfg.Logger.WarnContext(ctx, "pginbox: mended the jobs of events", "events", len(mended))
		}
		more = len(mended) == reconcileRows
	}
	p := store.PruneInboxParams{RetentionMs: in.cfg.Retention.Milliseconds(), MaxRows: pruneRows}
	if _, err := in.store.PruneInbox(ctx, &p); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}
