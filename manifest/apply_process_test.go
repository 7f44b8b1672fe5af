package manifest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// childEnv has a test binary be a process of an application that starts: with the
// connection string in it.
const childEnv = "RIVERHOOK_MANIFEST_CHILD"

// child applies the directory when its standard input has a line.
func child(database string) {
	check := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, database)
	check(err)
	defer pool.Close()
	subs, err := subscription.NewStore(pool, &subscription.Config{CheckURL: checkHTTPS, Sealer: seal.Clear()})
	check(err)
	applier, err := New(pool, &Config{Subscriptions: subs})
	check(err)
	m, err := Parse("directory.yaml", []byte(directory), &ParseOpts{Env: directoryEnv.lookup})
	check(err)
	fmt.Println("ready")
	_, err = bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	plan, err := applier.Apply(ctx, m)
	check(err)
	fmt.Println(plan.count(ActionAdded), plan.count(ActionUnchanged))
}

func TestApply_OfProcessesThatStartAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	exe, err := os.Executable()
	require.NoError(t, err)
	type process struct {
		lines *bufio.Scanner
		stdin interface{ Write(p []byte) (int, error) }
	}
	var started []process
	for range 4 {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), childEnv+"="+database)
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Wait() })
		p := process{bufio.NewScanner(stdout), stdin}
		require.True(t, p.lines.Scan())
		require.Equal(t, "ready", p.lines.Text())
		started = append(started, p)
	}
	for _, p := range started {
		_, err := p.stdin.Write([]byte("\n"))
		require.NoError(t, err)
	}
	said := map[string]int{}
	for _, p := range started {
		require.True(t, p.lines.Scan())
		said[strings.TrimSpace(p.lines.Text())]++
	}
	require.Equal(t, map[string]int{"5 0": 1, "0 5": 3}, said)
}
