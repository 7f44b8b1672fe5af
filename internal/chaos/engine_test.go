package chaos_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
)

// childEnv holds the task of an engine's process, as JSON.
const childEnv = "RIVERHOOK_CHAOS_CHILD"

// task is what the process of an engine is told.
type task struct {
	Database string
	EngineID string
	HostCode bool   // checkers and externalizers fail until it is calm
	Log      string // a file; none when empty
}

const (
	requestTimeout = 2 * time.Second
	stopTimeout    = time.Second
	chaosSchedule  = "chaos"
)

// retries is the schedule of all subscriptions: long enough to outlive the trouble of
// the short form, short enough that some deliveries are exhausted in the long one.
var retries = delivery.Schedule{Delays: slices.Concat(
	slices.Repeat([]time.Duration{100 * time.Millisecond}, 5), slices.Repeat([]time.Duration{time.Second}, 15),
)}

// engineConfig is that of all engines, with or without a process of their own.
func engineConfig(pool *pgxpool.Pool, id string, host *hostCode, logger *slog.Logger) (*delivery.Config, error) {
	sites, err := hierarchy.NewSites(pool, nil)
	if err != nil {
		return nil, err
	}
	checkers, err := access.NewRegistry(&access.RegistryConfig{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	if err := checkers.RegisterDefault(host); err != nil {
		return nil, err
	}
	externalizers := &delivery.Externalizers{}
	if err := externalizers.Register(externalized, "", "", host.Externalize); err != nil {
		return nil, err
	}
	return &delivery.Config{
		Access: delivery.AccessConfig{MaxAge: 3 * time.Second, Registry: checkers},
		Limits: delivery.Limits{
			ChunkSize:             5,
			SubscriptionsPerOwner: -1,
			SubscriptionsPerSite:  -1,
		},
		Egress: deliverytest.LocalPolicy(),
		Externalize: delivery.ExternalizeConfig{
			Registry: externalizers,
			Timeout:  time.Second,
			Tries:    1000,
		},
		History:     delivery.HistoryRules{MaxAge: 10 * time.Second, DedupeWindow: 20 * time.Second},
		ID:          id,
		Logger:      logger,
		Maintenance: delivery.Maintenance{ReevaluateAfter: 500 * time.Millisecond},
		Schedules:   map[string]delivery.Schedule{chaosSchedule: retries},
		Sealer:      seal.Clear(),
		Timeouts:    delivery.Timeouts{Request: requestTimeout, Stop: stopTimeout},
		Tree:        sites,
	}, nil
}

// hostCode is the application's code within an engine.
type hostCode struct {
	failing atomic.Bool
}

// Check implements access.Checker: an owner that is denied never sees anything.
func (h *hostCode) Check(ctx context.Context, r access.Request) error {
	if err := h.fail(ctx, r.Data); err != nil {
		return err
	}
	if r.Principal == deniedOwner {
		return access.ErrDenied
	}
	return nil
}

// Externalize is a delivery.Externalizer.
func (h *hostCode) Externalize(ctx context.Context, ev dialect.Event) ([]byte, error) {
	if err := h.fail(ctx, ev.Data); err != nil {
		return nil, err
	}
	return ev.Data, nil
}

// fail fails, hangs or panics now and then, and quotes the data.
func (h *hostCode) fail(ctx context.Context, data []byte) error {
	if !h.failing.Load() {
		return nil
	}
	switch n := rand.IntN(100); {
	case n < 5:
		return fmt.Errorf("the directory does not understand %s", data)
	case n < 7:
		panic("the directory is broken by " + string(data))
	case n < 8:
		<-ctx.Done()
		return ctx.Err()
	default:
		return nil
	}
}

// runEngine runs an engine until its standard input or the process ends, or it gets
// SIGTERM. A line on the standard input says that it is calm from now on.
func runEngine(ctx context.Context, text string) error {
	var do task
	if err := json.Unmarshal([]byte(text), &do); err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	if do.Log != "" {
		file, err := os.OpenFile(do.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer file.Close()
		logger = slog.New(slog.NewTextHandler(file, nil))
	}
	pool, err := poolOf(ctx, do.Database, do.EngineID, 20)
	if err != nil {
		return err
	}
	defer pool.Close()
	host := &hostCode{}
	host.failing.Store(do.HostCode)
	cfg, err := engineConfig(pool, do.EngineID, host, logger)
	if err != nil {
		return err
	}
	engine, err := delivery.New(pool, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer cancel()
	for err = engine.Start(ctx); err != nil && ctx.Err() == nil; err = engine.Start(ctx) { // its session can be cut as well
		logger.WarnContext(ctx, "the engine does not start", "error", err)
		if errors.Is(err, delivery.ErrNotStarted) || errors.Is(err, outbox.ErrNotMigrated) {
			return err
		}
	}
	fmt.Println("started")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			host.failing.Store(false)
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	_ = engine.Stop(context.Background()) // that requests were interrupted is to be expected
	return nil
}

// running is an engine in a process of its own.
type running struct {
	id      string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	said    *strings.Builder
	started chan struct{}
}

// startEngine starts one, without waiting for it.
func (w *world) startEngine(id string) {
	w.t.Helper()
	do := task{
		Database: w.url,
		EngineID: id,
		HostCode: w.hostCode,
	}
	if *logs != "" {
		do.Log = filepath.Join(*logs, id+".log")
	}
	text, err := json.Marshal(do)
	require.NoError(w.t, err)
	exe, err := os.Executable()
	require.NoError(w.t, err)
	e := &running{
		id:      id,
		said:    &strings.Builder{},
		started: make(chan struct{}),
	}
	e.cmd = exec.CommandContext(context.WithoutCancel(w.t.Context()), exe)
	e.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	e.cmd.Stderr = e.said
	e.stdin, err = e.cmd.StdinPipe()
	require.NoError(w.t, err)
	stdout, err := e.cmd.StdoutPipe()
	require.NoError(w.t, err)
	require.NoError(w.t, e.cmd.Start())
	go func() {
		if lines := bufio.NewScanner(stdout); lines.Scan() {
			close(e.started)
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	w.mu.Lock()
	w.engines = append(w.engines, e)
	w.mu.Unlock()
	w.t.Cleanup(func() {
		_ = e.cmd.Process.Signal(syscall.SIGCONT)
		_ = e.cmd.Process.Kill()
	})
}

// end waits for the process and says what it had to say.
func (e *running) end(w *world) {
	_ = e.cmd.Wait()
	if e.said.Len() > 0 {
		w.t.Logf("%s: %s", e.id, e.said)
	}
}
