package pginbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/receiver/pginbox"
)

// childEnv holds the task of a process that a test has started, as JSON.
const childEnv = "RIVERHOOK_TEST_CHILD"

// childTask is a server with the receiver "in". It says its URL, and runs until its
// standard input ends or it kills itself: behind the commit of an event ("added"), or in the Func, behind its
// write ("written").
type childTask struct {
	Database string
	DieAt    string
	Sync     bool
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

func die() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// dying is an inbox whose process does not outlive the commit of an event.
type dying struct{ receiver.Inbox }

func (d dying) Add(ctx context.Context, ev receiver.Event) (receiver.Status, bool, error) {
	status, added, err := d.Inbox.Add(ctx, ev)
	die()
	return status, added, err
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
	rec := in(pginbox.InTx(func(ctx context.Context, tx pgx.Tx, ev receiver.Event) (receiver.Response, error) {
		err := write(ctx, tx, ev)
		if task.DieAt == "written" {
			die()
		}
		return receiver.Response{}, err
	}))
	rec.Sync, rec.Tokens = task.Sync, receiver.StaticTokens{"ann": receiver.HashToken("token")}
	rec.DeliveryID = func(h http.Header, _ []byte) string { return h.Get("X-Delivery") }
	registry, err := receiver.NewRegistry(rec)
	if err != nil {
		return err
	}
	inbox, err := pginbox.New(pool, registry, &pginbox.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	inbox.HandOnAtOnce()
	var stored receiver.Inbox = inbox
	if task.DieAt == "added" {
		stored = dying{inbox}
	} else if err := inbox.Start(ctx); err != nil {
		return err
	}
	handler, err := receiver.NewHandler(registry, stored, &receiver.Config{BaseURL: "http://localhost"})
	if err != nil {
		return err
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return inbox.Stop(ctx)
}

type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

func (b *bundle) child(task childTask) *child {
	b.Helper()
	task.Database = b.pool.Config().ConnString()
	text, err := json.Marshal(task)
	require.NoError(b, err)
	exe, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill() }) // a no-op once it has ended
	lines := bufio.NewScanner(stdout)
	require.True(b, lines.Scan())
	return &child{
		cmd:   cmd,
		stdin: stdin,
		url:   lines.Text(),
	}
}

// killed waits for a child that kills itself, and for its heartbeat to be old.
func (b *bundle) killed(c *child) {
	b.Helper()
	var exit *exec.ExitError
	require.ErrorAs(b, c.cmd.Wait(), &exit)
	require.False(b, exit.Exited(), "it was killed")
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute'`)
}

func (b *bundle) end(c *child) {
	b.Helper()
	require.NoError(b, c.stdin.Close())
	require.NoError(b, c.cmd.Wait())
	require.Zero(b, b.count(`SELECT count(*) FROM riverhook.engine`))
}

// post sends a delivery and returns the status of the answer, 0 for none.
func (b *bundle) post(c *child) int {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, c.url+"/in/token", strings.NewReader(`{}`))
	require.NoError(b, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Delivery", "d1")
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return 0
	}
	require.NoError(b, resp.Body.Close())
	return resp.StatusCode
}

func (b *bundle) requireOnce(attempts int) {
	b.Helper()
	b.eventually(`SELECT count(*) FROM riverhook.inbox_event WHERE state = 'done'`, 1)
	require.Equal(b, 1, b.count(`SELECT count(*) FROM riverhook.inbox_event`))
	require.Equal(b, attempts, b.count(`SELECT attempt FROM riverhook.inbox_event`))
	require.Equal(b, 1, b.count(`SELECT count(*) FROM effect`))
}

func TestCrash_BetweenCommitAndAnswerLeavesOneEventThatRunsOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	first := b.child(childTask{DieAt: "added"})
	require.Zero(t, b.post(first), "the sender has no answer")
	b.killed(first)

	second := b.child(childTask{})
	require.Contains(t, []int{http.StatusAccepted, http.StatusCreated}, b.post(second), "so it sends again")

	b.requireOnce(1)
	b.end(second)
}

func TestCrash_InTheFuncHasItsEffectOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	first := b.child(childTask{DieAt: "written"})
	b.post(first)
	b.killed(first)
	require.Zero(t, b.count(`SELECT count(*) FROM effect`))

	second := b.child(childTask{})

	b.requireOnce(2)
	require.Equal(t, http.StatusCreated, b.post(second))
	b.end(second)
}

func TestCrash_WithinASyncRequestHasItsEffectOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	first := b.child(childTask{DieAt: "written", Sync: true})
	require.Zero(t, b.post(first))
	b.killed(first)

	second := b.child(childTask{Sync: true})
	require.Equal(t, http.StatusAccepted, b.post(second), "the first may still be at it")
	b.exec(`UPDATE riverhook.river_job SET state = 'available', scheduled_at = now()`) // the test does not wait out the Timeout

	b.requireOnce(2)
	require.Equal(t, http.StatusCreated, b.post(second))
	b.end(second)
}
