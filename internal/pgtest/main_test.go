//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pgtest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// userEnv makes this test program use the server of the folder it names, tell
// its state, and wait until its standard input ends.
const userEnv = "RIVERHOOK_PGTEST_TEST_USER"

// deadline is for what happens within seconds unless it is broken.
const deadline = 30 * time.Second

func TestMain(m *testing.M) {
	if folder := os.Getenv(userEnv); folder != "" {
		server, err := join(context.Background(), folder)
		if err != nil {
			server = &state{Err: err.Error()}
		}
		if err := json.NewEncoder(os.Stdout).Encode(server); err != nil {
			os.Exit(1)
		}
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// user is another process that uses a server.
type user struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout io.Reader
}

func startUser(t *testing.T, folder string, env ...string) *user {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), userEnv+"="+folder), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	return &user{
		cmd:    cmd,
		stdin:  stdin,
		stdout: stdout,
	}
}

// server waits until the user has a server.
func (u *user) server(t *testing.T) *state {
	t.Helper()
	line, err := bufio.NewReader(u.stdout).ReadBytes('\n')
	require.NoError(t, err)
	var server state
	require.NoError(t, json.Unmarshal(line, &server))
	return &server
}

func (u *user) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, u.stdin.Close())
	require.NoError(t, u.cmd.Wait())
}

func (u *user) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, u.cmd.Process.Kill())
	require.Error(t, u.cmd.Wait())
}

// newFolder is where a run of its own meets.
func newFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "run")
}

func answers(server *state) bool {
	conn, err := pgx.Connect(context.Background(), server.URL)
	return err == nil && conn.Close(context.Background()) == nil
}

// owned reports whether runs start servers, rather than use one that is given.
func owned() bool { return os.Getenv("DATABASE_URL") == "" }

// requireGone waits until the server, its supervisor and the folder are gone.
func requireGone(t *testing.T, folder string, server *state) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(folder)
		return os.IsNotExist(err) && !alive(server.PID) && (!owned() || !answers(server))
	}, deadline, 10*time.Millisecond, "something of the run is left")
}

// alive is false also for a process that has ended and whose parent has not
// looked yet.
func alive(pid int) bool {
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(string(state), "Z")
}
