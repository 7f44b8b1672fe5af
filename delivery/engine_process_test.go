package delivery_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// childEnv holds the task of a process that a test has started, as JSON.
const childEnv = "RIVERHOOK_TEST_CHILD"

// childTask is what such a process does: a producer commits an intent and dies
// at once, an engine runs until its standard input ends, it gets SIGTERM or it is
// killed.
type childTask struct {
	Role     string
	Database string
	EngineID string

	// DieAt is a fault point at which an engine kills itself, the first time
	// or the one that Pass counts from 0.
	DieAt     string
	Pass      int
	ChunkSize int

	Deadly string // the host code that ends the process; see addHostCode

	Externalized int // bytes of the data that an externalizer makes; 0: there is none

	StopTimeout time.Duration
	MaxInFlight int
	Workers     int
}

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := runChild(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	pgtest.Main(m)
}

func runChild(text string) error {
	var task childTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, task.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	switch task.Role {
	case "producer":
		return commitAndDie(ctx, pool)
	case "engine":
		return runEngine(ctx, pool, task)
	default:
		return fmt.Errorf("no role %q", task.Role)
	}
}

func commitAndDie(ctx context.Context, pool *pgxpool.Pool) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := outbox.Enqueue(ctx, tx, outbox.Intent{ID: "last-words", Type: "user.created"}); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// runEngine runs until it is told to stop, then says how much memory it took, and
// stops in order.
func runEngine(ctx context.Context, pool *pgxpool.Pool, task childTask) error {
	cfg := &delivery.Config{
		Limits: delivery.Limits{
			ChunkSize: task.ChunkSize,
			InFlight:  task.MaxInFlight,
			Workers:   task.Workers,
		},
		Egress:    deliverytest.LocalPolicy(),
		ID:        task.EngineID,
		Logger:    slog.New(slog.DiscardHandler),
		Schedules: schedules(),
		Sealer:    sealer(),
		Timeouts:  delivery.Timeouts{Stop: task.StopTimeout},
	}
	if task.Deadly != "" {
		addHostCode(cfg, task.Deadly)
	}
	if task.Externalized > 0 {
		cfg.Externalize.Registry = &delivery.Externalizers{}
		data := []byte(strconv.Quote(strings.Repeat("d", task.Externalized)))
		err := cfg.Externalize.Registry.Register("", "", "", delivery.Externalizer(
			func(context.Context, dialect.Event) ([]byte, error) { return bytes.Clone(data), nil }))
		if err != nil {
			return err
		}
	}
	engine, err := delivery.New(pool, cfg)
	if err != nil {
		return err
	}
	delivery.HandOnAtOnce(engine)
	var passed atomic.Int32
	engine.OnPoint(func(point string) {
		if point == task.DieAt && int(passed.Add(1)) > task.Pass {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	if err := engine.Start(ctx); err != nil {
		return err
	}
	fmt.Println("started")
	told := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		told <- err
	}()
	select {
	case err := <-told:
		if err != nil {
			return err
		}
	case <-ctx.Done(): // the engine stops with the context of its start
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Println(memory.HeapSys) // the largest that the heap has been
	return engine.Stop(context.Background())
}

// child is a process that does one task.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
	said  *log // on standard error
}

func startChild(t *testing.T, task childTask) *child {
	t.Helper()
	text, err := json.Marshal(task)
	require.NoError(t, err)
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	said := &log{}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // a no-op once it has ended
		if said.String() != "" {
			t.Logf("process %d: %s", cmd.Process.Pid, said)
		}
	})
	return &child{
		cmd:   cmd,
		stdin: stdin,
		lines: bufio.NewScanner(stdout),
		said:  said,
	}
}

// awaitStart waits until the engine of a child has started.
func (c *child) awaitStart(t *testing.T) {
	t.Helper()
	require.True(t, c.lines.Scan())
	require.Equal(t, "started", c.lines.Text())
}

// end tells the engine of a child to stop, and returns the largest size of its
// heap in bytes.
func (c *child) end(t *testing.T) int {
	t.Helper()
	require.NoError(t, c.stdin.Close())
	require.True(t, c.lines.Scan())
	heap, err := strconv.Atoi(c.lines.Text())
	require.NoError(t, err)
	return heap
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	require.Error(t, c.cmd.Wait())
}

func TestCrash_WhatAProcessCommittedBeforeItDiedIsDelivered(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, nil)
	producer := startChild(t, childTask{Role: "producer", Database: b.pool.Config().ConnString()})
	require.Error(t, producer.cmd.Wait(), "it was killed")

	b.start(b.engine(nil))

	requests, err := receiver.Wait(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "last-words", requests[0].ID())
}

// The engine is killed while its request is in flight. Another takes over: the
// interrupted attempt is in the history, and the delivery arrives once more.
func TestCrash_WhatAKilledEngineHadInFlightGoesOnInAnother(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Hang: true})
	_, err := b.pool.Exec(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	spec := b.subscribe(receiver, operatorOnly)
	first := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "first",
	})
	first.awaitStart(t)
	id := b.enqueue(nil)
	_, err = receiver.Wait(t.Context(), 1)
	require.NoError(t, err)

	first.kill(t)
	// The test does not wait out the heartbeat.
	_, err = b.pool.Exec(t.Context(), `UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE id = 'first'`)
	require.NoError(t, err)
	second := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "second",
	})
	second.awaitStart(t)

	requests, err := receiver.Wait(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, id, requests[1].ID())
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, spec.ID, b.deliveries(id)[0].Subscription)
	require.Equal(t, []string{"interrupted", "delivered"}, b.outcomes(b.deliveries(id)[0].ID))
	require.Equal(t, 1, b.deliveries(id)[0].Attempts)
	require.NoError(t, second.stdin.Close())
	require.NoError(t, second.cmd.Wait())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.engine`))
}

// The engine is killed while its request is in flight, and started again under
// the same name. It works at once; the jobs of its predecessor are handed on when
// the heartbeat of that one is old, like those of any other.
func TestStart_AgainUnderItsNameAnEngineGoesOnWithItsJobs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Hang: true})
	b.subscribe(receiver, operatorOnly)
	task := childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "host-1",
	}
	first := startChild(t, task)
	first.awaitStart(t)
	id := b.enqueue(nil)
	b.wait(receiver, 1)

	first.kill(t)
	b.fetchedEarlier("15 seconds")
	second := startChild(t, task)
	second.awaitStart(t)
	next := b.enqueue(nil)
	b.wait(receiver, 2)
	b.eventually(func() bool { return b.deliveries(next)[0].State == "delivered" })
	require.Empty(t, b.history(id))
	// The test does not wait out the heartbeat.
	require.Equal(t, 1, b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'
		WHERE started_at = (SELECT min(started_at) FROM riverhook.engine)`))

	b.wait(receiver, 3)
	b.eventually(func() bool { return b.deliveries(id)[0].State == "delivered" })
	require.Equal(t, []string{"interrupted", "delivered"}, b.history(id))
}

// The River job of a request under way is cancelled, but its engine is killed
// before it hears of it.
func TestCancel_OutlivesTheEngineThatItWasMeantFor(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.always(deliverytest.Answer{Hang: true})
	b.subscribe(receiver, operatorOnly)
	first := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "first",
	})
	first.awaitStart(t)
	id := b.enqueue(nil)
	b.wait(receiver, 1)
	first.kill(t)
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{Schema: "riverhook"})
	require.NoError(t, err)
	_, err = client.JobCancel(t.Context(), int64(b.count(`SELECT job_id FROM riverhook.delivery`)))
	require.NoError(t, err)
	require.Equal(t, "running", b.text(`SELECT state::text FROM riverhook.river_job`))

	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
	b.pass(time.Minute)
	b.start(b.engine(nil))

	b.eventually(func() bool { return b.deliveries(id)[0].State == "cancelled" })
	require.Equal(t, "its River job was cancelled", b.deliveries(id)[0].Reason)
	require.Len(t, receiver.Requests(), 1)
}

// One request under way ends in time, one does not, and what comes meanwhile is
// left for others.
func TestStop_AfterSIGTERMAnEngineDrainsWithinItsDeadline(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow, answer := b.hangingFirst(deliverytest.Answer{})
	hanging, fast := b.receiver(nil), b.receiver(nil)
	hanging.Script(deliverytest.Answer{Hang: true})
	for eventType, r := range map[string]*deliverytest.Receiver{"slow.event": slow, "hanging.event": hanging, "fast.event": fast} {
		b.subscribe(r, func(spec *subscription.Spec) {
			operatorOnly(spec)
			spec.Events = []string{eventType}
		})
	}
	const deadline = 4 * time.Second
	engine := startChild(t, childTask{
		Role:        "engine",
		Database:    b.pool.Config().ConnString(),
		EngineID:    "first",
		StopTimeout: deadline,
	})
	engine.awaitStart(t)
	inTime := b.enqueue(func(in *outbox.Intent) { in.Type = "slow.event" })
	tooLate := b.enqueue(func(in *outbox.Intent) { in.Type = "hanging.event" })
	b.wait(slow, 1)
	b.wait(hanging, 1)

	told := time.Now()
	require.NoError(t, engine.cmd.Process.Signal(syscall.SIGTERM))
	running := func() bool { return b.count(`SELECT count(*) FROM riverhook.engine`) == 1 }
	const left = 20 // an engine polls ten times a second
	b.eventually(func() bool {
		b.enqueueMany("fast.event", 1)
		return running() && b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'available'`) >= left
	})
	answer()
	b.eventually(func() bool { return b.deliveries(inTime)[0].State == "delivered" })
	require.True(t, running(), "it was recorded before the end")
	require.Error(t, engine.cmd.Wait())
	require.WithinRange(t, time.Now(), told.Add(deadline), told.Add(deadline+5*time.Second))

	require.Equal(t, 1, engine.cmd.ProcessState.ExitCode(), "it ended by itself")
	require.Contains(t, engine.said.String(), "requests were interrupted")
	require.False(t, running())
	require.Equal(t, []string{"interrupted"}, b.history(tooLate))
	require.Zero(t, b.deliveries(tooLate)[0].Attempts)
	before := len(fast.Requests())
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`))
	b.start(b.engine(nil))
	b.wait(fast, before+left)
	b.wait(hanging, 2)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.intent_state WHERE state = 'pending'`) == 0
	})
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state <> 'delivered'`) == 0 })
	require.Len(t, slow.Requests(), 1)
	require.Len(t, hanging.Requests(), 2)
	require.Len(t, fast.Requests(), b.count(`SELECT count(*) FROM riverhook.intent WHERE type = 'fast.event'`))
}

func TestEngine_TwoDeliverEachIntentOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	b.subscribe(receiver, operatorOnly)
	for _, id := range []string{"one", "two"} {
		engine := startChild(t, childTask{
			Role:     "engine",
			Database: b.pool.Config().ConnString(),
			EngineID: id,
		})
		engine.awaitStart(t)
		t.Cleanup(func() {
			require.NoError(t, engine.stdin.Close())
			require.NoError(t, engine.cmd.Wait())
		})
	}
	const n = 200
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		intents := make([]outbox.Intent, n)
		for i := range intents {
			intents[i] = outbox.Intent{Type: "user.created", Data: i}
		}
		_, err := b.outbox.EnqueueMany(t.Context(), tx, intents)
		return err
	}))

	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == n })
	seen := map[string]bool{}
	for _, r := range receiver.Requests() {
		require.False(t, seen[r.ID()], "%s arrived twice", r.ID())
		seen[r.ID()] = true
	}
	require.Len(t, seen, n)
	require.Equal(t, n, b.count(`SELECT count(*) FROM riverhook.attempt`))
}
