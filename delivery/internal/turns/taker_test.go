package turns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/jobs"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is a taker on a database of its own, whose jobs wait until they are let go.
type bundle struct {
	*Taker

	after map[string]string
	pool  *pgxpool.Pool
	runs  heartbeat.Runs

	mu   sync.Mutex
	held map[int64]chan error // jobs under way
}

func newBundle(pool *pgxpool.Pool, id string, workers int) *bundle {
	b := &bundle{
		after: map[string]string{},
		pool:  pool,
		held:  map[int64]chan error{},
	}
	log := slog.New(slog.DiscardHandler)
	heart := heartbeat.New(heartbeat.Config{
		ID:      id,
		Logger:  log,
		Pool:    pool,
		Schema:  "riverhook",
		Subject: "test",
	})
	b.Taker = NewTaker(&Config{
		Batch:     batch.Config{},
		Heart:     heart,
		Log:       log,
		Process:   heart.Process(),
		Queues:    []string{jobs.QueueExpand},
		RetryWait: func(failures int) time.Duration { return time.Duration(1+9*failures) * time.Second },
		Runs:      &b.runs,
		Store:     store.In(pool, "riverhook"),
		Work:      b.hold,
		Workers:   workers,
	})
	return b
}

// expect lets a job wait until letGo.
func (b *bundle) expect(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[id] = make(chan error, 1)
}

// hold is the work of a job: it waits.
func (b *bundle) hold(ctx context.Context, job *rivertype.JobRow) error {
	b.mu.Lock()
	let := b.held[job.ID]
	b.mu.Unlock()
	select {
	case err := <-let:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take is a pass as if the workers were busy with one share. It returns how many jobs it took of
// each.
func (b *bundle) take(t require.TestingT, busy string) (taken map[string]int) {
	l := b.loads[jobs.QueueExpand]
	for range l.workers {
		l.begin(busy)
	}
	behind, room, sated := l.look()
	for range l.workers {
		l.end(busy)
	}
	require.True(t, behind)
	taken = map[string]int{}
	rows, err := b.cfg.Store.TakeTurns(context.Background(), &store.TakeTurnsParams{
		Queue:     jobs.QueueExpand,
		After:     b.after[jobs.QueueExpand],
		MaxShares: maxShares,
		Each:      each,
		Enough:    sated,
		MaxJobs:   min(room, maxJobs),
		Process:   b.cfg.Process,
	})
	require.NoError(t, err)
	b.after[jobs.QueueExpand] = next(rows, min(room, maxJobs))
	for i := range rows {
		if rows[i].ID == 0 {
			continue
		}
		taken[rows[i].Tag]++
		b.expect(rows[i].ID)
		b.begin(l, jobs.QueueExpand, &rows[i])
	}
	return taken
}

// letGo ends the jobs under way with an error, and waits until that is written.
func (b *bundle) letGo(t require.TestingT, err error) {
	b.mu.Lock()
	for _, let := range b.held {
		let <- err
	}
	b.mu.Unlock()
	require.NoError(t, b.Stop(context.Background()))
	clear(b.held)
}

func commit(t require.TestingT, pool *pgxpool.Pool, share string, n int) {
	_, err := pool.Exec(context.Background(), `
		INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at, tags)
		SELECT j.* FROM generate_series(1, $2::integer), riverhook.job_expand(gen_random_uuid(), $1, now()) j`, share, n)
	require.NoError(t, err)
}

func count(t require.TestingT, pool *pgxpool.Pool, where string) (n int) {
	require.NoError(t, pool.QueryRow(context.Background(), "SELECT count(*) FROM riverhook.river_job WHERE "+where).Scan(&n))
	return n
}

func TestTaker_TakesTheOldestOfEachShareThatHasNotEnough(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 1000)
	commit(t, b.pool, "loud", 500)
	for i := range 3 {
		commit(t, b.pool, fmt.Sprint("quiet", i), i+1)
	}
	commit(t, b.pool, "second", 500)

	require.Equal(t, map[string]int{"share_quiet0": 1, "share_quiet1": 2, "share_quiet2": 3, "share_second": each}, b.take(t, "share_loud"))
	require.Equal(t, map[string]int{"share_second": enough - each}, b.take(t, "share_loud"))
	require.Empty(t, b.take(t, "share_loud"))

	require.Equal(t, enough, count(t, b.pool, "state = 'running' AND tags[1] = 'share_second'"))
	require.Equal(t, 1, count(t, b.pool, `state = 'running' AND tags[1] = 'share_second'
		AND id = (SELECT min(id) FROM riverhook.river_job WHERE tags[1] = 'share_second')`))
	require.Zero(t, count(t, b.pool, "state = 'running' AND tags[1] = 'share_loud'"))
	b.letGo(t, nil)
	require.Equal(t, enough+6, count(t, b.pool, "state = 'completed' AND finalized_at IS NOT NULL"))
	require.Zero(t, count(t, b.pool, "state = 'running'"))
	require.Empty(t, b.runs.Jobs())
}

func TestTaker_EnginesTakeDifferentJobs(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	commit(t, pool, "quiet", 3*each)
	engines := []*bundle{newBundle(pool, "a", 1000), newBundle(pool, "b", 1000), newBundle(pool, "c", 1000)}

	var all sync.WaitGroup
	for _, b := range engines {
		all.Go(func() { b.take(t, "share_loud") })
	}
	all.Wait()

	for _, b := range engines {
		b.take(t, "share_loud") // what another had locked
		b.letGo(t, nil)
	}
	require.Equal(t, 3*each, count(t, pool, "state = 'completed' AND attempt = 1 AND cardinality(attempted_by) = 1"))
}

// One more job than there is room for is one of another share each time.
func TestTaker_ThePassAfterOneThatWasFullBeginsWhereThatEnded(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 4*partTaken)
	for _, share := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		commit(t, b.pool, share, 20)
	}
	served := map[string]int{}
	for range 7 {
		for share, n := range b.take(t, "share_loud") {
			served[share] += n
		}
		b.letGo(t, nil)
	}
	require.Len(t, served, 7)
}

func TestTaker_AJobThatIsLockedOrNotDueIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 1000)
	commit(t, b.pool, "a", 2)
	_, err := b.pool.Exec(t.Context(), `UPDATE riverhook.river_job SET scheduled_at = now() + interval '4 seconds'
		WHERE id = (SELECT max(id) FROM riverhook.river_job)`)
	require.NoError(t, err)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM riverhook.river_job FOR UPDATE")
	require.NoError(t, err)

	require.Empty(t, b.take(t, "share_loud"))
	require.NoError(t, tx.Rollback(t.Context()))

	require.Equal(t, map[string]int{"share_a": 1}, b.take(t, "share_loud"))
	b.letGo(t, nil)
}

// A share whose backlog is at one engine alone gets what its workers do; the loop ends itself.
func TestTaker_RestsUntilTheWorkersAreMostlyBusy(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 2)
	commit(t, b.pool, "quiet", 1)
	b.expect(1)
	b.Start(t.Context())
	require.Equal(t, 1, count(t, b.pool, "state = 'available'"))
	job := &rivertype.JobRow{
		ID:    7,
		Queue: jobs.QueueExpand,
		Tags:  []string{"share_loud"},
	}

	b.Begin(job)

	require.Eventually(t, func() bool { return count(t, b.pool, "state = 'running'") == 1 }, 10*time.Second, 10*time.Millisecond)
	b.End(job)
	b.Interrupt()
	require.NoError(t, b.Stop(t.Context()))
	require.Equal(t, 1, count(t, b.pool, "state = 'available' AND attempt = 0 AND errors IS NULL"), "an interruption does not count")
}

func TestTaker_AJobThatWasHandedOnIsNotEndedByItsOldRun(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	old, other := newBundle(pool, "old", 1000), newBundle(pool, "new", 1000)
	commit(t, pool, "a", 1)
	old.take(t, "share_loud")
	_, err := pool.Exec(t.Context(), "UPDATE riverhook.river_job SET state = 'available'")
	require.NoError(t, err)
	other.take(t, "share_loud")

	old.letGo(t, nil)

	require.Equal(t, 1, count(t, pool, "state = 'running' AND attempt = 2"))
	other.letGo(t, nil)
	require.Equal(t, 1, count(t, pool, "state = 'completed'"))
}

func TestTaker_APanicIsAnErrorOfItsJob(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 1000)
	b.cfg.Work = func(context.Context, *rivertype.JobRow) error { panic("of the job") }
	commit(t, b.pool, "a", 1)

	b.take(t, "share_loud")

	require.NoError(t, b.Stop(t.Context()))
	require.Equal(t, 1, count(t, b.pool,
		`state = 'available' AND errors[1] ->> 'error' = 'of the job' AND errors[1] ->> 'trace' LIKE '%goroutine%'`))
}

// Two were taken, one of them is cancelled through River.
func TestTaker_AJobThatIsCancelledIsInterrupted(t *testing.T) {
	t.Parallel()
	b := newBundle(pgtest.Pool(t), "one", 1000)
	commit(t, b.pool, "a", 2)
	b.take(t, "share_loud")
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: "riverhook"})
	require.NoError(t, err)

	_, err = client.JobCancel(t.Context(), 1)
	require.NoError(t, err)

	require.Eventually(t, func() bool {
		return count(t, b.pool, `id = 1 AND state = 'cancelled' AND finalized_at IS NOT NULL
		AND attempt = 1 AND errors[1] ->> 'error' = 'JobCancelError: job cancelled remotely'`) == 1
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, 1, count(t, b.pool, "id = 2 AND state = 'running'"))
	require.Equal(t, []int64{2}, b.runs.Jobs())
	b.letGo(t, nil)
	require.Equal(t, 1, count(t, b.pool, "id = 2 AND state = 'completed'"))
}

// However often jobs come and end one by one, what is under way is asked about once in an interval.
func TestTaker_AsksOnceInAnIntervalWhichJobsWereCancelled(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	b := newBundle(pool, "one", 1000)
	for id := range int64(50) {
		b.own(id)
		b.disown(id)
	}
	b.own(50)
	before := pool.Stat().AcquireCount() // each question takes a connection
	asked := func() int64 { return pool.Stat().AcquireCount() - before }
	require.Eventually(t, func() bool { return asked() >= 2 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, int64(2), asked())

	b.disown(50)
	require.Eventually(t, func() bool {
		b.Taker.mu.Lock()
		defer b.Taker.mu.Unlock()
		return !b.looking
	}, 10*time.Second, 10*time.Millisecond)
	b.own(51)
	require.Eventually(t, func() bool { return asked() > 3 }, 10*time.Second, 10*time.Millisecond)
	b.disown(51)
}

// turnsModel is what shares wait for and what engines do.
type turnsModel struct {
	pool    *pgxpool.Pool
	engines []*bundle
	waited  map[string]int // passes of the present engine that found the share without serving it
	total   int
}

func TestTaker_NoShareWaitsLongerThanItsTurnAndNothingIsLost(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rapid.Check(t, func(t *rapid.T) {
		_, err := pool.Exec(context.Background(), "TRUNCATE riverhook.river_job")
		require.NoError(t, err)
		m := &turnsModel{pool: pool, waited: map[string]int{}}
		m.engines = append(m.engines, newBundle(pool, "e", 8*partTaken))
		share := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"})
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"commit", "pass", "pass", "pass", "finish", "join", "die"}).Draw(t, "step") {
			case "commit":
				n := rapid.IntRange(1, 20).Draw(t, "n")
				commit(t, pool, share.Draw(t, "share"), n)
				m.total += n
			case "pass":
				m.cycle(t, rapid.SampledFrom(m.engines).Draw(t, "engine"))
			case "finish":
				rapid.SampledFrom(m.engines).Draw(t, "engine").letGo(t, nil)
			case "join":
				m.engines = append(m.engines, newBundle(pool, fmt.Sprint("e", len(m.engines)), 8*partTaken))
			case "die":
				if len(m.engines) > 1 {
					m.die(t, rapid.IntRange(0, len(m.engines)-1).Draw(t, "engine"))
				}
			}
		}
		for count(t, pool, "state <> 'completed'") > 0 {
			for _, b := range m.engines {
				m.cycle(t, b)
				b.letGo(t, nil)
			}
		}
		require.Equal(t, m.total, count(t, pool, "state = 'completed'"))
	})
}

// cycle goes once around the shares. Each that has a job and nothing under way gets one, as far as
// there are places.
func (m *turnsModel) cycle(t *rapid.T, b *bundle) {
	rows, err := m.pool.Query(context.Background(), "SELECT DISTINCT tags[1] FROM riverhook.river_job WHERE state = 'available'")
	require.NoError(t, err)
	waiting := map[string]bool{}
	for rows.Next() {
		var tag string
		require.NoError(t, rows.Scan(&tag))
		waiting[tag] = true
	}
	require.NoError(t, rows.Err())
	l := b.loads[jobs.QueueExpand]
	for share := range l.shares {
		delete(waiting, share)
	}
	for range 3 * len(waiting) {
		if l.taken == l.places {
			return
		}
		for share := range b.take(t, "share_loud") {
			delete(waiting, share)
		}
	}
	require.Empty(t, waiting, "shares that got no turn")
}

// die ends an engine, whose jobs are handed on.
func (m *turnsModel) die(t *rapid.T, n int) {
	b := m.engines[n]
	m.engines = append(m.engines[:n:n], m.engines[n+1:]...)
	require.NoError(t, b.cfg.Store.RemoveEngine(context.Background(), b.cfg.Process))
	b.letGo(t, errors.New("it has died"))
}
