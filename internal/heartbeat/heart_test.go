package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// log is what a Heart has written.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// setup makes a Heart that has beaten for long.
func setup(t *testing.T, pool *pgxpool.Pool) (*Heart, *log) {
	t.Helper()
	written := &log{}
	h := New(Config{
		ID:       "one",
		Logger:   slog.New(slog.NewTextHandler(written, nil)),
		Pool:     pool,
		Schema:   "riverhook",
		Subject:  "test",
		UnderWay: func() []int64 { return nil },
	})
	require.NoError(t, h.Start(t.Context()))
	h.later(patience)
	return h, written
}

// later lets time pass for a Heart.
func (h *Heart) later(d time.Duration) {
	h.steady, h.handed = h.steady.Add(-d), h.handed.Add(-d)
}

func exec(t *testing.T, pool *pgxpool.Pool, statement string, args ...any) {
	t.Helper()
	_, err := pool.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

func count(t *testing.T, pool *pgxpool.Pool, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

// ofADeadProcess adds a running job of a process whose heartbeat is old.
func ofADeadProcess(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	exec(t, pool, `INSERT INTO riverhook.engine (process, id, heartbeat_at) VALUES ('other_1', 'other', now() - interval '40 seconds')`)
	exec(t, pool, `INSERT INTO riverhook.river_job (state, attempt, max_attempts, attempted_at, attempted_by, args, kind, queue)
		VALUES ('running', 1, 1000, now(), '{other_1}', '{}', 'riverhook_expand', 'expand')`)
}

func running(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	return count(t, pool, `SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`)
}

// After a failover all heartbeats are old; the first process that is back says
// nothing of the others by that.
func TestHeart_LeavesOthersTheirTimeAfterItWasCutOff(t *testing.T) {
	t.Parallel()
	for name, cutOff := range map[string]func(t *testing.T, h *Heart, pool *pgxpool.Pool){
		"its heartbeat is old": func(t *testing.T, h *Heart, pool *pgxpool.Pool) {
			exec(t, pool, `UPDATE riverhook.engine SET heartbeat_at = now() - interval '7 seconds' WHERE process = $1`, h.Process())
		},
		"its heartbeat is gone": func(t *testing.T, h *Heart, pool *pgxpool.Pool) {
			exec(t, pool, `DELETE FROM riverhook.engine WHERE process = $1`, h.Process())
		},
		"it was stopped": func(_ *testing.T, h *Heart, _ *pgxpool.Pool) {
			h.beaten = h.beaten.Add(-7 * time.Second)
		},
		"the clock was set back": func(t *testing.T, h *Heart, pool *pgxpool.Pool) {
			exec(t, pool, `UPDATE riverhook.engine SET heartbeat_at = now() + interval '1 hour' WHERE process = $1`, h.Process())
		},
		"it begins": func(_ *testing.T, h *Heart, _ *pgxpool.Pool) {
			h.steady = time.Time{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			h, _ := setup(t, pool)
			ofADeadProcess(t, pool)
			cutOff(t, h, pool)

			require.NoError(t, h.Beat(t.Context()))
			require.Equal(t, 1, running(t, pool))
			h.later(patience - time.Second)
			require.NoError(t, h.Beat(t.Context()))
			require.Equal(t, 1, running(t, pool))
			h.later(time.Second)
			require.NoError(t, h.Beat(t.Context()))

			require.Zero(t, running(t, pool))
			require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.engine`))
		})
	}
}

func TestHeart_OneThatWasNotCutOffHandsOnAtOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, written := setup(t, pool)
	ofADeadProcess(t, pool)

	require.NoError(t, h.Beat(t.Context()))

	require.Zero(t, running(t, pool))
	require.Contains(t, written.String(), "took over jobs that nobody worked on")
}

// Somebody has the job of a dead process locked, as by cancelling it.
// What a process sent before it ended can be committed after others have removed its
// heartbeat.
func TestHeart_AJobThatWasClaimedAfterItsHeartbeatHadGoneIsHandedOn(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, _ := setup(t, pool)
	h.HandOnAtOnce()
	ofADeadProcess(t, pool)
	require.NoError(t, h.Beat(t.Context()))
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.engine`))
	claimed := func(ago time.Duration) {
		exec(t, pool, `UPDATE riverhook.river_job SET state = 'running', attempted_at = now() - $1::bigint * interval '1 millisecond',
			attempted_by = '{other_1}'`, ago.Milliseconds())
	}

	claimed(DeadAfter - 5*time.Second)
	require.NoError(t, h.Beat(t.Context()))
	require.Equal(t, 1, running(t, pool), "it may be one that has not beaten yet")
	claimed(DeadAfter + time.Second)
	require.NoError(t, h.Beat(t.Context()))

	require.Zero(t, running(t, pool))
}

func TestHeart_AJobThatIsLockedIsHandedOnNextTime(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, _ := setup(t, pool)
	ofADeadProcess(t, pool)
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.river_job FOR UPDATE`)
	require.NoError(t, err)

	require.NoError(t, h.Beat(t.Context()))
	require.Equal(t, 1, running(t, pool))
	require.NoError(t, tx.Rollback(t.Context()))
	h.later(Interval)
	require.NoError(t, h.Beat(t.Context()))

	require.Zero(t, running(t, pool))
	require.Equal(t, 1, count(t, pool, `SELECT count(*) FROM riverhook.engine`))
}

// pids are the sessions of a pool.
func pids(t *testing.T, pool *pgxpool.Pool) map[uint32]bool {
	t.Helper()
	all := map[uint32]bool{}
	for _, conn := range pool.AcquireAllIdle(t.Context()) {
		all[conn.Conn().PgConn().PID()] = true
		conn.Release()
	}
	return all
}

// mixed fills a pool with sessions, some of which cannot write.
func mixed(t *testing.T, pool *pgxpool.Pool) (good, bad map[uint32]bool) {
	t.Helper()
	good, bad = map[uint32]bool{}, map[uint32]bool{}
	var conns []*pgxpool.Conn
	for i := range 6 {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		conns = append(conns, conn)
		pid := conn.Conn().PgConn().PID()
		if i%2 == 0 {
			_, err = conn.Exec(t.Context(), `SET default_transaction_read_only = on`)
			require.NoError(t, err)
			bad[pid] = true
			continue
		}
		good[pid] = true
	}
	for _, conn := range conns {
		conn.Release()
	}
	return good, bad
}

func TestSessions_ThoseThatCannotWriteAreClosedAndNoOthers(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, _ := setup(t, pool)
	good, bad := mixed(t, pool)

	require.True(t, h.Passing(&pgconn.PgError{Code: readOnlyTransaction}))

	require.Eventually(t, func() bool { return int(pool.Stat().TotalConns()) == len(pids(t, pool)) }, 10*time.Second, 10*time.Millisecond)
	left := pids(t, pool)
	for pid := range bad {
		require.NotContains(t, left, pid)
	}
	for pid := range good {
		require.Contains(t, left, pid)
	}
}

func TestPassing_GoesByTheKindOfTheError(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, _ := setup(t, pool)

	for code, passing := range map[string]bool{
		"08006": true, "0A000": false, "22001": false, "23505": false, "25006": true, "25P02": false, "40001": true, "42501": false,
		"42P01": false, "53100": true, "55000": true, "55P03": true, "57P01": true, "58030": true,
	} {
		require.Equal(t, passing, h.Passing(&pgconn.PgError{Code: code}), code)
	}
	require.False(t, h.Passing(nil))
	require.True(t, h.Passing(errors.New("the connection was cut")))
	require.True(t, h.Passing(context.DeadlineExceeded))
}

// A standby says 0A000 of a transaction that is serializable by default.
func TestPassing_WhatIsNotSupportedPassesWhereASessionCannotWrite(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, _ := setup(t, pool)
	mixed(t, pool)

	require.True(t, h.Passing(&pgconn.PgError{Code: notSupported}))
	require.True(t, h.Passing(&pgconn.PgError{Code: notSupported}), "of another that failed at the same time")
}

// cannotWritePool is a pool all of whose sessions are read-only while it is told so.
func cannotWritePool(t *testing.T) (pool *pgxpool.Pool, readOnly func(on bool)) {
	t.Helper()
	cfg := pgtest.Pool(t).Config()
	var (
		mu sync.Mutex
		on string
	)
	readOnly = func(is bool) {
		mu.Lock()
		defer mu.Unlock()
		on = map[bool]string{false: "off", true: "on"}[is]
	}
	readOnly(false)
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := conn.Exec(ctx, `SELECT set_config('default_transaction_read_only', $1, false)`, on)
		return err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, readOnly
}

func TestOutage_IsOneLineWhenItBeginsAndOneWhenItEnds(t *testing.T) {
	t.Parallel()
	pool, readOnly := cannotWritePool(t)
	h, written := setup(t, pool)
	river := h.River()
	readOnly(true)
	pool.Reset()

	for range 5 {
		require.Error(t, h.Beat(t.Context()))
		_, err := pool.Exec(t.Context(), `DELETE FROM riverhook.river_leader`)
		require.True(t, h.Outage(t.Context(), err))
		river.ErrorContext(t.Context(), "producer: Error fetching jobs", "err", err.Error())
	}
	require.True(t, h.Down())
	waiting, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, h.Await(waiting))
	up := make(chan bool, 1)
	go func() { up <- h.Await(t.Context()) }()
	readOnly(false)
	require.Eventually(t, func() bool { return h.Beat(t.Context()) == nil }, healWithin, 10*time.Millisecond)
	require.True(t, <-up)
	require.False(t, h.Down())

	lines := written.lines()
	require.Len(t, lines, 2, written)
	require.Contains(t, lines[0], "level=WARN msg=\"test: the database cannot be written; nothing is sent meanwhile\"")
	require.Contains(t, lines[0], "SQLSTATE 25006")
	require.Contains(t, lines[1], "level=WARN msg=\"test: the database can be written again\" after=")
}

const healWithin = 5 * time.Second

// The writer is back, but one session of before the failover turns up now.
func TestOutage_ASessionThatIsLeftOverIsClosedInSilence(t *testing.T) {
	t.Parallel()
	pool, readOnly := cannotWritePool(t)
	h, written := setup(t, pool)
	readOnly(true)
	left, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	_, err = left.Exec(t.Context(), `SET default_transaction_read_only = on`)
	require.NoError(t, err)
	readOnly(false)
	_, err = left.Exec(t.Context(), `DELETE FROM riverhook.river_leader`)
	left.Release()

	h.River().ErrorContext(t.Context(), "producer: Error fetching jobs", "err", err.Error())

	require.Eventually(t, func() bool { return h.Beat(t.Context()) == nil }, healWithin, 10*time.Millisecond)
	require.False(t, h.Down())
	require.Empty(t, written.String())
}

func TestOutage_WhatRiverSaysOtherwiseIsPassedOn(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, written := setup(t, pool)
	river := h.River().With("queue", "expand")

	river.InfoContext(t.Context(), "Client started")
	river.WarnContext(t.Context(), "Job appears to be stuck")

	require.Len(t, written.lines(), 1)
	require.Contains(t, written.String(), "Job appears to be stuck")
	require.Contains(t, written.String(), "queue=expand")
}

// The heartbeat itself can get such a session, at its beginning, in its course and at its end.
func TestOutage_ASessionThatIsLeftOverIsNotTheHeartbeats(t *testing.T) {
	t.Parallel()
	pool, readOnly := cannotWritePool(t)
	h, written := setup(t, pool)
	leave := func() {
		pool.Reset()
		readOnly(true)
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		readOnly(false)
		conn.Release()
	}

	leave()
	require.NoError(t, h.Beat(t.Context()))
	leave()
	require.NoError(t, h.Stop(t.Context()))

	require.Empty(t, written.String())
}

// An error is met before the heartbeat, or is heard of when the outage is over.
func TestOutage_CoversWhatIsMetBeforeTheHeartbeatAndHeardAfterIt(t *testing.T) {
	t.Parallel()
	pool, readOnly := cannotWritePool(t)
	h, written := setup(t, pool)
	readOnly(true)
	pool.Reset()
	closed := errors.New("the connection was closed")

	require.True(t, h.Outage(t.Context(), closed))
	h.River().ErrorContext(t.Context(), "producer: Error fetching jobs", "err", closed)
	readOnly(false)
	require.Eventually(t, func() bool { return h.Beat(t.Context()) == nil }, healWithin, 10*time.Millisecond)
	require.True(t, h.Outage(t.Context(), closed))
	h.River().ErrorContext(t.Context(), "producer: Error fetching jobs", "err", closed)

	require.Len(t, written.lines(), 2, written)
}

// A session that was closed while the others go on is no outage.
func TestOutage_OfASingleSessionIsNone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, written := setup(t, pool)
	closed := errors.New("the connection was closed")

	require.False(t, h.Outage(t.Context(), closed))
	h.River().ErrorContext(t.Context(), "producer: Error fetching jobs", "err", closed)

	require.Contains(t, written.String(), "Error fetching jobs")
}

// Errors that are no outage keep their lines.
func TestOutage_AnErrorOfAStatementIsNone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	h, written := setup(t, pool)
	exec(t, pool, `ALTER TABLE riverhook.engine RENAME TO elsewhere`)

	err := h.Beat(t.Context())

	require.Error(t, err)
	require.False(t, h.Outage(t.Context(), err))
	require.False(t, h.Down())
	require.Empty(t, written.String())
}

func TestConcernsAll_IsTrueOfWhatEachStatementGets(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig("postgres://127.0.0.1:1/none?sslmode=disable")
	require.NoError(t, err)
	_, refused := pgx.ConnectConfig(t.Context(), cfg)

	require.True(t, ConcernsAll(refused))
	require.True(t, ConcernsAll(&pgconn.PgError{Code: "25006"}))
	require.False(t, ConcernsAll(&pgconn.PgError{Code: "55P03"}))
	require.False(t, ConcernsAll(errors.New("a value that cannot be encoded")))
}
