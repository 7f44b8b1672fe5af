// Package heartbeat says that a process works on River jobs, hands the jobs of dead
// processes to the living, and notices when the database cannot be written, as
// during a failover. Engines and inboxes have one Heart each.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	// Interval is the time between two heartbeats.
	Interval = 3 * time.Second

	// DeadAfter is how long a process without a heartbeat is believed to live.
	// What it had under way then goes on elsewhere; the fences make sure that it
	// changes nothing if it lives after all.
	DeadAfter = 15 * time.Second

	// stuckAfter is above what a job of ours can take.
	stuckAfter = 30 * time.Minute

	// patience is how long a Heart beats without a gap before it hands on the jobs
	// of others: after a failover each heartbeat is old, and those who live need
	// this time to write theirs.
	patience = 3 * Interval

	// gap is the age of its own heartbeat at which a process was itself cut off.
	gap = 2 * Interval

	// pause is the shortest time between two heartbeats, and the time between two
	// tries while the database cannot be written.
	pause = 250 * time.Millisecond

	// beatTimeout bounds one heartbeat, the wait for a connection included.
	beatTimeout = 5 * time.Second
)

// maxProcess is the most bytes that River allows as the ID of a client.
const maxProcess = 100

// Config says whose heart it is.
type Config struct {
	// ID is the name of the engine or inbox, as it is shown.
	ID string

	// Inbox is true of an inbox, whose ID nobody has chosen.
	Inbox bool

	// Logger gets one line for each change of state.
	Logger *slog.Logger

	// Pool is that of the application.
	Pool *pgxpool.Pool

	// Schema is the Postgres schema of Riverhook.
	Schema string

	// Subject begins each line of the log.
	Subject string

	// UnderWay returns the ids of the River jobs that this process works on. Nil
	// leaves its own jobs alone.
	UnderWay func() []int64
}

// Heart beats for one engine or inbox. It is safe for concurrent use.
type Heart struct {
	cfg      Config
	clock    clock
	patience time.Duration
	process  string
	store    *store.Queries
	woken    chan struct{}

	beating sync.Mutex // one beat at a time; guards what follows
	steady  time.Time  // since when it has beaten without a gap; zero before the first beat
	handed  time.Time  // when it last looked for jobs to hand on
	warned  bool       // of another process with the same ID

	mu     sync.Mutex // guards what follows; held for moments only
	beaten time.Time  // of the last heartbeat that was written
	downAt time.Time  // zero while the database can be written
	roseAt time.Time  // when it could be written again
	up     chan struct{}

	sessions sessions
}

// New makes a Heart that does not beat yet.
func New(cfg Config) *Heart {
	return &Heart{
		cfg:      cfg,
		clock:    clock{local: time.Now},
		patience: patience,
		process:  newProcess(cfg.ID),
		store:    store.In(cfg.Pool, cfg.Schema),
		woken:    make(chan struct{}, 1),
		sessions: sessions{pool: cfg.Pool},
	}
}

// newProcess is an ID with a nonce: two processes with one ID differ in it.
func newProcess(id string) string {
	nonce := "_" + uuid.NewString()
	if most := maxProcess - len(nonce); len(id) > most {
		id = strings.ToValidUTF8(id[:most], "")
	}
	return id + nonce
}

// Process names the process in heartbeats and in River's attempted_by. No other
// process has it, whatever its ID.
func (h *Heart) Process() string { return h.process }

// HandOnAtOnce gives up the time that a Heart leaves to others before it hands on
// their jobs. It is for tests that have ended all others.
func (h *Heart) HandOnAtOnce() {
	h.beating.Lock()
	defer h.beating.Unlock()
	h.patience = 0
}

// Run beats until ctx ends.
func (h *Heart) Run(ctx context.Context) {
	for {
		if err := h.Beat(ctx); err != nil && ctx.Err() == nil && !h.Outage(ctx, err) {
			h.cfg.Logger.ErrorContext(ctx, h.cfg.Subject+": maintenance", "error", err)
		}
		if !sleep(ctx, nil, pause) {
			return
		}
		if !h.Down() && !sleep(ctx, h.woken, Interval-pause) {
			return
		}
	}
}

// sleep returns false when ctx ends first. What comes from early ends it early.
func sleep(ctx context.Context, early <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-timer.C:
	}
	return true
}

// Beat says that this process lives, and hands the jobs that nobody works on to
// the living, whether or not River has a leader.
func (h *Heart) Beat(ctx context.Context) error {
	h.beating.Lock()
	defer h.beating.Unlock()
	if err := h.beat(ctx); err != nil {
		return err
	}
	if time.Since(h.steady) < h.patience || time.Since(h.handed) < min(Interval-pause, h.patience) {
		return nil
	}
	h.handed = time.Now()
	params := &store.ReleaseRunningJobsParams{
		UnderWay:     []int64{},
		DeadAfterMs:  DeadAfter.Milliseconds(),
		StuckAfterMs: stuckAfter.Milliseconds(),
	}
	if h.cfg.UnderWay != nil { // nobody has the empty name
		params.Process, params.UnderWay = h.process, append(params.UnderWay, h.cfg.UnderWay()...)
	}
	released, err := h.store.ReleaseRunningJobs(ctx, params)
	if err != nil {
		return fmt.Errorf("release running jobs: %w", err)
	}
	if released > 0 {
		h.cfg.Logger.WarnContext(ctx, h.cfg.Subject+": took over jobs that nobody worked on", "jobs", released)
	}
	return nil
}

// Start is the first beat, which hands nothing on.
func (h *Heart) Start(ctx context.Context) error {
	h.beating.Lock()
	defer h.beating.Unlock()
	return h.beat(ctx)
}

func (h *Heart) beat(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	params := &store.BeatParams{
		Process: h.process,
		ID:      h.cfg.ID,
		Inbox:   h.cfg.Inbox,
	}
	row, err := h.store.Beat(bounded, params)
	for range sessionTries {
		if !h.sessions.closed(err) {
			break
		}
		row, err = h.store.Beat(bounded, params)
	}
	if err != nil {
		if ctx.Err() == nil && h.Passing(err) {
			h.fell(ctx, err)
		}
		return fmt.Errorf("heartbeat: %w", err)
	}
	h.clock.set(row.At)
	// The clock of the process stands still while its machine is suspended, and that
	// of the database can be set.
	cut := row.GapMs < 0 || row.GapMs > gap.Milliseconds() || h.Age() > gap
	if h.steady.IsZero() || cut {
		h.steady = time.Now()
	}
	if row.Twin && !h.cfg.Inbox && !h.warned {
		h.warned = true
		h.cfg.Logger.WarnContext(ctx, h.cfg.Subject+": another engine runs under the same ID; give each an ID of its own",
			"id", h.cfg.ID, "process", h.process)
	}
	h.rose(ctx)
	return nil
}

// Age is the time since the last heartbeat that was written.
func (h *Heart) Age() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.beaten)
}

// stopTries is how often the heartbeat is removed: where the database's default isolation is
// stricter than READ COMMITTED, that fails when another writes the same rows, and it fails
// in each session that cannot write any more.
const stopTries = 10

// Stop removes the heartbeat of a process that has ended, and hands on what River
// could not complete for it.
func (h *Heart) Stop(ctx context.Context) error {
	for try := 1; ; try++ {
		err := h.store.RemoveEngine(ctx, h.process)
		if err == nil {
			return nil
		}
		var failed *pgconn.PgError
		conflict := errors.As(err, &failed) && strings.HasPrefix(failed.Code, "40")
		if again := conflict || h.sessions.closed(err); !again || try == stopTries {
			return fmt.Errorf("remove the heartbeat: %w", err)
		}
	}
}
