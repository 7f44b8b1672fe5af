package pginbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/receiver"
)

const (
	// writeTimeout bounds what is written about something that has happened, which a
	// context that has ended does not prevent.
	writeTimeout = 10 * time.Second

	// recordTimeout is how long what became of an attempt is kept while the database
	// cannot be written: what is not recorded is run again.
	recordTimeout = 2 * time.Minute

	// stallWait is the wait before something is tried again that was nobody's
	// attempt: the database failed, or another run was faster. It is by the clock of this
	// process, and what that puts off too long maintenance finds.
	stallWait = time.Second

	// unknownWait is the wait for a process that has the receiver of an event.
	unknownWait = 30 * time.Second

	// maxError is in bytes.
	maxError = 4 << 10
)

// InTx makes a Func whose writes take effect exactly once: tx is the transaction in which the
// event is marked as done behind its return. It is at the database's default isolation, of
// which each will do, must be neither committed nor rolled back by fn, and an error or a panic
// rolls it back. The inbox must be an [Inbox].
func InTx(fn func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error)) receiver.Func {
	return func(ctx context.Context, ev receiver.Event) (receiver.Response, error) {
		a, ok := ctx.Value(attemptKey{}).(*attempt)
		if !ok {
			return receiver.Response{}, errors.New("pginbox: InTx: the inbox is no pginbox.Inbox")
		}
		tx, err := a.inbox.pool.Begin(ctx)
		if err != nil {
			return receiver.Response{}, fmt.Errorf("pginbox: begin: %w", err)
		}
		a.tx = tx
		return fn(ctx, tx, ev)
	}
}

type attemptKey struct{}

// attempt is one run of a Func. Only one goroutine at a time uses it.
type attempt struct {
	inbox *Inbox
	rec   receiver.Receiver
	row   store.PendingInboxEventRow // before the attempt
	tx    pgx.Tx                     // nil unless the Func is made by InTx
}

// load prepares the next attempt of an event; nil is an event that is not pending,
// and an attempt without a Func is one that this process cannot make.
func (in *Inbox) load(ctx context.Context, id uuid.UUID) (*attempt, error) {
	row, err := in.store.PendingInboxEvent(ctx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load an event: %w", err)
	}
	rec, _ := in.registry.Get(row.Receiver)
	return &attempt{
		inbox: in,
		rec:   rec,
		row:   row,
	}, nil
}

func (a *attempt) number() int { return a.row.Attempt + 1 }

// inRound is the number that counts for MaxAttempts and Backoff: a retry begins anew.
func (a *attempt) inRound() int { return a.number() - a.row.AttemptsBefore }

// run makes the attempt and records what became of it: an end, or the job of the next
// attempt. The error is one of the database.
func (a *attempt) run(ctx context.Context) error {
	if a.rec.Func == nil {
		a.inbox.cfg.Logger.WarnContext(ctx, "pginbox: an event waits for its receiver", "event", a.row.ID, "receiver", a.row.Receiver)
		return a.postpone(ctx, a.row.Attempt, "", unknownWait)
	}
	if a.inRound() > a.rec.MaxAttempts {
		return a.fail(ctx, a.row.Attempt, "the last attempt was interrupted")
	}
	begun, err := a.inbox.store.BeginInboxAttempt(ctx, &store.BeginInboxAttemptParams{ID: a.row.ID, Attempt: a.row.Attempt})
	if err != nil {
		return fmt.Errorf("begin an attempt: %w", err)
	}
	if begun == 0 {
		return errBegun
	}
	ev, err := a.event()
	if err == nil {
		var resp receiver.Response
		resp, err = a.rec.Run(receiver.WithReporter(context.WithValue(ctx, attemptKey{}, a), a.report), ev)
		if err == nil {
			err = a.finish(ctx, resp)
		}
		a.rollback(ctx)
	}
	if err == nil || errors.Is(err, errOvertaken) {
		return nil
	}
	final := a.rec.Final(a.inRound(), err)
	a.inbox.cfg.Logger.WarnContext(ctx, "pginbox: an attempt failed", "event", a.row.ID, "receiver", a.row.Receiver,
		"attempt", a.number(), "final", final, "error", err)
	if final {
		return a.fail(ctx, a.number(), err.Error())
	}
	return a.postpone(ctx, a.number(), err.Error(), a.rec.Backoff(a.inRound()))
}

func (a *attempt) event() (receiver.Event, error) {
	ev := receiver.Event{
		ID:          a.row.ID.String(),
		Receiver:    a.row.Receiver,
		Owner:       a.row.Owner,
		DeliveryID:  a.row.DeliveryID,
		ContentType: a.row.ContentType,
		Body:        a.row.Body,
		ReceivedAt:  a.row.ReceivedAt,
		Attempt:     a.number(),
	}
	if err := json.Unmarshal(a.row.Header, &ev.Header); err != nil {
		return ev, fmt.Errorf("headers: %w", err)
	}
	return ev, nil
}

// errBegun says that another run was faster to begin.
var errBegun = errors.New("pginbox: another attempt is under way")

// errOvertaken says that another run began meanwhile, or that the event was deleted.
var errOvertaken = errors.New("pginbox: the attempt was overtaken")

// finish marks the event as done, in the transaction of the Func where it has one.
func (a *attempt) finish(ctx context.Context, resp receiver.Response) error {
	params := &store.FinishInboxAttemptParams{
		ID:                  a.row.ID,
		Attempt:             a.number(),
		ResponseStatus:      resp.Status,
		ResponseContentType: resp.ContentType,
		ResponseBody:        resp.Body,
	}
	var err error
	if a.tx != nil {
		err = a.commit(ctx, params)
	} else {
		err = record(ctx, a.inbox, params, a.inbox.store.FinishInboxAttempt)
	}
	if err != nil {
		return fmt.Errorf("pginbox: finish: %w", err)
	}
	return nil
}

// commit is for once: a transaction that has lost its session has had no effect.
func (a *attempt) commit(ctx context.Context, params *store.FinishInboxAttemptParams) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	finished, err := store.In(a.tx, a.inbox.cfg.Schema).FinishInboxAttempt(ctx, params)
	if err == nil && finished == 0 {
		err = errOvertaken
	}
	if err == nil {
		err = a.tx.Commit(ctx)
	}
	return err
}

// rollback does nothing behind a commit.
func (a *attempt) rollback(ctx context.Context) {
	if a.tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	_ = a.tx.Rollback(ctx) // what cannot be rolled back has lost its connection
}

// record writes what became of an attempt, also when its job is cancelled. While the
// database cannot be written it tries again, which a job that is cancelled does not
// wait for. A write that changes no row was overtaken.
func record[P any](job context.Context, in *Inbox, params P, write func(ctx context.Context, params P) (int64, error)) error {
	waiting, cancel := context.WithTimeout(job, recordTimeout)
	defer cancel()
	for {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(job), writeTimeout)
		rows, err := write(ctx, params)
		cancel()
		if err == nil && rows == 0 {
			return errOvertaken
		}
		if err == nil || !in.heart.Passing(err) || !in.heart.AwaitAfter(waiting) {
			return err
		}
	}
}

func (a *attempt) fail(ctx context.Context, number int, why string) error {
	params := &store.FailInboxAttemptParams{
		ID:      a.row.ID,
		Attempt: number,
		Error:   storable(why),
	}
	if err := record(ctx, a.inbox, params, a.inbox.store.FailInboxAttempt); err != nil && !errors.Is(err, errOvertaken) {
		return fmt.Errorf("record an attempt: %w", err)
	}
	return nil
}

// postpone makes the job of the attempt behind that of the given number.
func (a *attempt) postpone(ctx context.Context, number int, why string, wait time.Duration) error {
	params := &store.PostponeInboxEventParams{
		ID:      a.row.ID,
		Attempt: number,
		Error:   storable(why),
		WaitMs:  max(wait, time.Millisecond).Milliseconds(),
	}
	if err := record(ctx, a.inbox, params, a.inbox.store.PostponeInboxEvent); err != nil && !errors.Is(err, errOvertaken) {
		return fmt.Errorf("postpone an event: %w", err)
	}
	return nil
}

func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text[:min(len(text), maxError)], ""), "\x00", "")
}

// report is not part of the Func's transaction, so that it is seen at once.
func (a *attempt) report(ctx context.Context, message string) error {
	reported, err := a.inbox.store.ReportInboxProgress(ctx, &store.ReportInboxProgressParams{
		ID:      a.row.ID,
		Attempt: a.number(),
		Message: message,
	})
	if err == nil && reported == 0 {
		err = errOvertaken
	}
	return err
}
