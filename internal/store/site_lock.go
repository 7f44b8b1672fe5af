package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	lockNotAvailable = "55P03"

	// shortWait is how long a change of the tree queues for its lock at a time. Whoever
	// shares the lock waits for no more than that.
	shortWait = 50 * time.Millisecond

	// longWaits is how many deadlock_timeouts apart the waits are in which Postgres finds
	// a deadlock.
	longWaits = 4
)

// LockSitesPatiently is [Queries.LockSites] that keeps nobody waiting who shares the lock:
// it queues for a moment, leaves the queue, and tries again until ctx is done or the
// timeouts of the session have passed. A transaction that holds other locks queues for
// longer now and then, so that Postgres finds a deadlock.
func LockSitesPatiently(ctx context.Context, tx pgx.Tx, schema string) error {
	locked, err := In(tx, schema).TryLockSites(ctx)
	if err != nil || locked {
		return err
	}
	settings, err := In(tx, schema).WaitSettings(ctx)
	if err != nil {
		return err
	}
	w := &siteWait{
		schema:   schema,
		settings: settings,
		tx:       tx,
		since:    time.Now(),
	}
	w.long = w.since
	for {
		err := w.queue(ctx)
		if sqlErr, ok := errors.AsType[interface {
			error
			SQLState() string
		}](err); !ok || sqlErr.SQLState() != lockNotAvailable || w.over() {
			return err
		}
		pause := time.NewTimer(shortWait + rand.N(shortWait)) //nolint:gosec // spreads those that wait
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// siteWait is a wait for the lock of the tree.
type siteWait struct {
	schema   string
	settings WaitSettingsRow
	tx       pgx.Tx
	since    time.Time
	long     time.Time // the last long turn
}

// queue waits for one turn, in a savepoint: a timeout aborts no more than that.
func (w *siteWait) queue(ctx context.Context) error {
	turn := shortWait
	deadlock := time.Duration(w.settings.DeadlockTimeoutMs) * time.Millisecond
	if w.settings.Holds && time.Since(w.long) >= longWaits*deadlock {
		turn, w.long = deadlock+shortWait, time.Now()
	}
	return pgx.BeginFunc(ctx, w.tx, func(savepoint pgx.Tx) error {
		q := In(savepoint, w.schema)
		if _, err := q.SetLockTimeout(ctx, strconv.FormatInt(turn.Milliseconds(), 10)); err != nil {
			return err
		}
		if err := q.LockSites(ctx); err != nil {
			return err
		}
		_, err := q.SetLockTimeout(ctx, strconv.FormatInt(w.settings.LockTimeoutMs, 10))
		return err
	})
}

// over says that the session's own bound of a statement or of a wait has passed.
func (w *siteWait) over() bool {
	waited := time.Since(w.since).Milliseconds()
	return w.settings.LockTimeoutMs > 0 && waited >= w.settings.LockTimeoutMs ||
		w.settings.StatementTimeoutMs > 0 && waited >= w.settings.StatementTimeoutMs
}
