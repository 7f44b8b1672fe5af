package pginbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/receiver"
)

// syncGrace is what the job of a Sync event waits beyond the receiver's Timeout, so
// that it does not meet the attempt within the request.
const syncGrace = 15 * time.Second

// Inbox is a [receiver.Inbox] in Postgres. It is safe for concurrent use. It stores events
// as soon as it is made; Start has it process those that are not Sync, and those whose
// first attempt has failed.
type Inbox struct {
	cfg      Config
	heart    *heartbeat.Heart
	pool     *pgxpool.Pool
	registry *receiver.Registry
	river    *river.Client[pgx.Tx] // for single statements
	store    *store.Queries

	turn      chan struct{} // of Start or Stop; guards what follows
	closePool func()        // of working
	loop      sync.WaitGroup
	started   bool
	stop      context.CancelFunc
	working   *river.Client[pgx.Tx] // nil before Start

	mu       sync.Mutex              // guards what follows; held for moments only
	endStart context.CancelCauseFunc // of a Start that is under way
	stops    int                     // Stops that wait for it
}

var _ receiver.Inbox = (*Inbox)(nil)

// New returns the inbox in the database of pool, whose events are processed by the
// receivers in registry. An event whose receiver is not there waits for a process that
// has it. The error names a field of cfg.
func New(pool *pgxpool.Pool, registry *receiver.Registry, cfg *Config) (*Inbox, error) {
	if pool == nil || registry == nil {
		return nil, errors.New("pginbox: New needs a pool and a Registry")
	}
	c := cfg.withDefaults(pool.Config().MaxConns)
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("pginbox: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "inbox"
	}
	in := &Inbox{
		cfg: c,
		heart: heartbeat.New(heartbeat.Config{
			ID:      host,
			Inbox:   true,
			Logger:  c.Logger,
			Pool:    pool,
			Schema:  c.Schema,
			Subject: "pginbox",
		}),
		pool:     pool,
		registry: registry,
		store:    store.In(pool, c.Schema),
		turn:     make(chan struct{}, 1),
	}
	if in.river, err = in.newRiver(pool, []string{}); err != nil {
		return nil, err
	}
	return in, nil
}

// Add implements [receiver.Inbox].
func (in *Inbox) Add(ctx context.Context, ev receiver.Event) (receiver.Status, bool, error) {
	status, added, err := in.add(ctx, ev)
	if err != nil {
		return receiver.Status{}, false, fmt.Errorf("pginbox: store an event: %w", err)
	}
	return status, added, nil
}

func (in *Inbox) add(ctx context.Context, ev receiver.Event) (receiver.Status, bool, error) {
	rec, ok := in.registry.Get(ev.Receiver)
	if !ok {
		return receiver.Status{}, false, fmt.Errorf("no receiver %q", ev.Receiver)
	}
	id, err := uuid.Parse(ev.ID)
	if err != nil {
		return receiver.Status{}, false, err
	}
	header, err := json.Marshal(ev.Header)
	if err != nil {
		return receiver.Status{}, false, err
	}
	var wait time.Duration
	if rec.Sync {
		wait = rec.Timeout + syncGrace
	}
	var stored, reopened bool
	err = in.readCommitted(ctx, func(queries *store.Queries) error {
		added, err := queries.AddInboxEvent(ctx, &store.AddInboxEventParams{
			ID:          id,
			Receiver:    ev.Receiver,
			Owner:       ev.Owner,
			DeliveryID:  ev.DeliveryID,
			ContentType: ev.ContentType,
			Header:      header,
			Body:        ev.Body,
			WaitMs:      wait.Milliseconds(),
		})
		if stored = len(added) > 0; stored || err != nil {
			return err
		}
		failed, err := queries.FailedInboxEventOfDelivery(ctx, &store.FailedInboxEventOfDeliveryParams{
			Receiver:   ev.Receiver,
			Owner:      ev.Owner,
			DeliveryID: ev.DeliveryID,
		})
		if err != nil {
			return err
		}
		reopened, err = reopen(ctx, queries, failed, wait)
		return err
	})
	if err != nil {
		return receiver.Status{}, false, err
	}
	if stored {
		return receiver.Status{
			ID:       ev.ID,
			Receiver: ev.Receiver,
			Owner:    ev.Owner,
			State:    receiver.Pending,
		}, true, nil
	}
	known, err := in.store.InboxEventOfDelivery(ctx, &store.InboxEventOfDeliveryParams{
		Receiver:   ev.Receiver,
		Owner:      ev.Owner,
		DeliveryID: ev.DeliveryID,
	})
	if err != nil {
		return receiver.Status{}, false, err
	}
	status, err := in.status(ctx, known)
	return status, reopened, err
}

// readCommitted runs fn in a transaction that finds what others have committed
// meanwhile, whatever the database's default isolation is.
func (in *Inbox) readCommitted(ctx context.Context, fn func(queries *store.Queries) error) error {
	return pgx.BeginTxFunc(ctx, in.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return fn(store.In(tx, in.cfg.Schema))
	})
}

// Status implements [receiver.Inbox].
func (in *Inbox) Status(ctx context.Context, ref receiver.Ref) (receiver.Status, error) {
	id, err := uuid.Parse(ref.ID)
	if err != nil {
		return receiver.Status{}, receiver.ErrNotFound
	}
	status, err := in.status(ctx, id)
	if err == nil && (status.Receiver != ref.Receiver || status.Owner != ref.Owner) {
		err = receiver.ErrNotFound
	}
	if err != nil {
		return receiver.Status{}, fmt.Errorf("pginbox: read an event: %w", err)
	}
	return status, nil
}

func (in *Inbox) status(ctx context.Context, id uuid.UUID) (receiver.Status, error) {
	row, err := in.store.InboxStatus(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return receiver.Status{}, receiver.ErrNotFound
	}
	if err != nil {
		return receiver.Status{}, err
	}
	return receiver.Status{
		ID:       id.String(),
		Receiver: row.Receiver,
		Owner:    row.Owner,
		State:    receiver.State(row.State),
		Attempts: row.Attempt,
		Message:  row.Message,
		Error:    row.Error,
		Response: receiver.Response{
			Status:      row.ResponseStatus,
			ContentType: row.ResponseContentType,
			Body:        row.ResponseBody,
		},
	}, nil
}

// Delete implements [receiver.Inbox].
func (in *Inbox) Delete(ctx context.Context, ref receiver.Ref) (receiver.Status, error) {
	id, err := uuid.Parse(ref.ID)
	if err != nil {
		return receiver.Status{}, receiver.ErrNotFound
	}
	var job int64
	err = in.readCommitted(ctx, func(queries *store.Queries) error {
		job, err = queries.DeleteInboxEvent(ctx, &store.DeleteInboxEventParams{
			ID:       id,
			Receiver: ref.Receiver,
			Owner:    ref.Owner,
		})
		if err != nil {
			return err
		}
		// A statement of its own finds what was reported until the event was deleted.
		_, err = queries.DeleteInboxProgress(ctx, id)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return receiver.Status{}, receiver.ErrNotFound
	}
	if err != nil {
		return receiver.Status{}, fmt.Errorf("pginbox: delete an event: %w", err)
	}
	// Without the event the job does nothing; cancelling it tells an attempt under way.
	if _, err := in.river.JobCancel(ctx, job); err != nil && !errors.Is(err, rivertype.ErrNotFound) {
		in.cfg.Logger.WarnContext(ctx, "pginbox: could not cancel a job", "event", ref.ID, "error", err)
	}
	return in.Status(ctx, ref)
}

// Run implements [receiver.Inbox].
func (in *Inbox) Run(ctx context.Context, ref receiver.Ref) (receiver.Status, error) {
	if _, err := in.Status(ctx, ref); err != nil {
		return receiver.Status{}, err
	}
	id, err := uuid.Parse(ref.ID)
	if err != nil {
		return receiver.Status{}, receiver.ErrNotFound
	}
	a, err := in.load(ctx, id)
	if err != nil {
		return receiver.Status{}, fmt.Errorf("pginbox: run an event: %w", err)
	}
	if a != nil && a.row.Attempt == a.row.AttemptsBefore {
		err := a.run(ctx)
		if err == nil { // the job was for the case that this process dies
			_, err = in.store.DropInboxJob(ctx, a.row.JobID)
		}
		if err != nil { // the job that Add has made will see to it
			in.cfg.Logger.WarnContext(ctx, "pginbox: an event waits", "event", id, "error", err)
		}
	}
	return in.Status(ctx, ref)
}
