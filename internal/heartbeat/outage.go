package heartbeat

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs (Postgres' manual, appendix A).
const (
	readOnlyTransaction = "25006" // what a standby says of most statements, and a read-only session of all that write
	notSupported        = "0A000" // what a standby says of a serializable transaction, among much that has nothing to do with it
)

// Down is true while the database cannot be written: the last heartbeat could not.
func (h *Heart) Down() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.downAt.IsZero()
}

func (h *Heart) fell(ctx context.Context, err error) {
	h.mu.Lock()
	first := h.downAt.IsZero()
	if first {
		h.downAt, h.up = time.Now(), make(chan struct{})
	}
	h.mu.Unlock()
	if first {
		h.cfg.Logger.WarnContext(ctx, h.cfg.Subject+": the database cannot be written; nothing is sent meanwhile", "error", err)
	}
}

func (h *Heart) rose(ctx context.Context) {
	h.mu.Lock()
	h.beaten = time.Now()
	downAt := h.downAt
	if !downAt.IsZero() {
		h.downAt, h.roseAt = time.Time{}, h.beaten
		close(h.up)
	}
	h.mu.Unlock()
	if !downAt.IsZero() {
		h.cfg.Logger.WarnContext(ctx, h.cfg.Subject+": the database can be written again", "after", time.Since(downAt).Round(time.Millisecond))
	}
}

// Await waits while the database cannot be written. It returns false when ctx ends
// first.
func (h *Heart) Await(ctx context.Context) bool {
	for {
		h.mu.Lock()
		down, up := !h.downAt.IsZero(), h.up
		h.mu.Unlock()
		if !down {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-up:
		}
	}
}

// AwaitAfter is Await for who was met by an error of an outage: it also waits for
// a moment where the outage was that of one session alone.
func (h *Heart) AwaitAfter(ctx context.Context) bool { return sleep(ctx, nil, pause) && h.Await(ctx) }

// Outage is true of an error that the lines about the state of the database cover,
// so that it needs none of its own. A caller can get the error before the heartbeat has noticed
// the outage, so Outage beats first; it can also get it shortly after the outage has ended.
func (h *Heart) Outage(ctx context.Context, err error) bool {
	return h.Passing(err) && (h.covered() || h.look(ctx))
}

// covered is true while there is an outage, and shortly after.
func (h *Heart) covered() bool {
	h.mu.Lock()
	down := !h.downAt.IsZero() || time.Since(h.roseAt) < lately
	h.mu.Unlock()
	return down || h.sessions.foundLately()
}

// look beats, to know whether the database can be written now, and returns what covered
// says then. Callers that look at the same time share the outage that the first of them finds.
func (h *Heart) look(ctx context.Context) bool {
	h.beating.Lock()
	defer h.beating.Unlock()
	if !h.covered() {
		_ = h.beat(ctx) // it says by itself that the database cannot be written
	}
	return h.covered()
}

// Passing is true of errors of the connection and of the server, which another try
// may not meet; not of those of a statement. Where the session that has failed
// cannot write, it is closed; and the state of the database is looked at.
func (h *Heart) Passing(err error) bool {
	if err == nil {
		return false
	}
	var failed *pgconn.PgError
	if !errors.As(err, &failed) {
		h.wake()
		return true
	}
	switch failed.Code {
	case readOnlyTransaction:
		h.sessions.sweep()
		h.wake()
		return true
	case notSupported:
		if h.sessions.sweep() == 0 && !h.sessions.foundLately() {
			return false
		}
		h.wake()
		return true
	}
	switch class := failed.Code[:2]; class {
	case "08", "57", "58": // connection, shutdown, system
		h.wake()
		return true
	case "40", "53", "55": // rollback, resources, locks
		return true
	default:
		return false
	}
}

// wake has the next heartbeat come soon.
func (h *Heart) wake() {
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// ConcernsAll is true of an error that each statement gets for the same reason,
// whatever it writes: there is no use in trying its parts.
func ConcernsAll(err error) bool {
	var (
		failed  *pgconn.PgError
		refused *pgconn.ConnectError
	)
	return errors.As(err, &failed) && failed.Code == readOnlyTransaction || errors.As(err, &refused)
}

// River returns the logger for a River client. What River warns of during an outage
// is left out: there is one line about that. Its errors are texts, so what they
// are of is asked of the sessions.
func (h *Heart) River() *slog.Logger {
	return slog.New(quiet{Handler: h.cfg.Logger.Handler(), heart: h})
}

type quiet struct {
	slog.Handler

	heart *Heart
}

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quiet) Handle(ctx context.Context, record slog.Record) error {
	if q.heart.covered() || q.heart.sessions.sweep() > 0 {
		return nil
	}
	// River also warns of each job that has failed. There can be many of those, so only an
	// error is worth a heartbeat.
	if record.Level >= slog.LevelError && q.heart.look(ctx) {
		return nil
	}
	return q.Handler.Handle(ctx, record)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quiet{Handler: q.Handler.WithAttrs(attrs), heart: q.heart}
}

func (q quiet) WithGroup(name string) slog.Handler {
	return quiet{Handler: q.Handler.WithGroup(name), heart: q.heart}
}
