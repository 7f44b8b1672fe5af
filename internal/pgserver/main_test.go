package pgserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// ownerEnv makes this test program start a server in the folder it names, tell
// its URL and wait: the program that a test kills.
const ownerEnv = "RIVERHOOK_PGSERVER_TEST_OWNER"

// deadline is for what happens at once unless it is broken.
const deadline = 20 * time.Second

func TestMain(m *testing.M) {
	if folder := os.Getenv(ownerEnv); folder != "" {
		server, err := startFirst(context.Background(), nil, sources(bareMachine(folder)))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(server.URL())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // without Close
	}
	os.Exit(m.Run())
}

// bareMachine is this machine without DATABASE_URL, Docker and downloads, and
// with one folder for clusters.
func bareMachine(folder string) *machine {
	m := thisMachine()
	m.dockerPaths, m.download = nil, false
	m.getenv = env(map[string]string{"PATH": os.Getenv("PATH")})
	m.memoryDir, m.tempDirs = "", []string{folder}
	return m
}

// env is an environment with these variables and no others.
func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// clusterFolder is a folder that the user which the server runs as can use.
func clusterFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "pgserver-test-") //nolint:usetesting // other users cannot reach t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	require.NoError(t, os.Chmod(folder, 0o777))
	return folder
}

// owner is a process that has a server.
type owner struct {
	*exec.Cmd

	url string
}

func startOwner(t *testing.T, folder string) *owner {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ownerEnv+"="+folder)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	return &owner{Cmd: cmd, url: strings.TrimSpace(line)}
}

// requireNothingLeft waits until the folder is empty and the port is free, which
// also means that the processes are gone: they hold the port.
func requireNothingLeft(t *testing.T, folder, serverURL string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) > 0 {
			return false
		}
		listener, err := net.Listen("tcp4", u.Host)
		return err == nil && listener.Close() == nil
	}, deadline, 10*time.Millisecond, "something of the server is left")
}

func setting(t *testing.T, serverURL, name string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), serverURL)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var value string
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value))
	return value
}
