//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package pgtest

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestProcesses_OfARunShareOneServerAndLeaveNothing(t *testing.T) {
	t.Parallel()

	t.Run("ThatStartAtOnceShareOneServer", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		users := make([]*user, 5)
		for i := range users {
			users[i] = startUser(t, folder)
		}
		server := users[0].server(t)
		require.Empty(t, server.Err)
		require.Contains(t, server.Source, "Postgres: ")
		for _, user := range users[1:] {
			require.Equal(t, server, user.server(t))
		}
		for _, user := range users[1:] {
			user.leave(t)
		}
		require.True(t, alive(server.PID), "one process uses it still")
		require.True(t, answers(server))
		users[0].leave(t)
		requireGone(t, folder, server)
	})

	t.Run("FindTheServerOfOneThatHasJustEnded", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		first := startUser(t, folder)
		server := first.server(t)
		first.leave(t)
		second := startUser(t, folder)
		require.Equal(t, server, second.server(t))
		second.leave(t)
		requireGone(t, folder, server)
	})

	t.Run("LeaveNothingWhenTheyAreKilled", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		users := []*user{startUser(t, folder), startUser(t, folder)}
		server := users[0].server(t)
		require.Equal(t, server, users[1].server(t))
		for _, user := range users {
			user.kill(t)
		}
		requireGone(t, folder, server)
	})

	t.Run("GetAnotherServerAfterTheSupervisorWasKilled", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		first := startUser(t, folder)
		server := first.server(t)
		require.NoError(t, syscall.Kill(server.PID, syscall.SIGKILL))
		require.Eventually(t, func() bool { return !answers(server) || !owned() }, deadline, 10*time.Millisecond)

		second := startUser(t, folder)
		another := second.server(t)
		require.Empty(t, another.Err)
		require.NotEqual(t, server.PID, another.PID)
		first.leave(t)
		second.leave(t)
		requireGone(t, folder, another)
	})

	t.Run("GetAnotherServerAfterTheSupervisorWasToldToEnd", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		first := startUser(t, folder)
		server := first.server(t)
		require.NoError(t, syscall.Kill(server.PID, syscall.SIGTERM))
		requireGone(t, folder, server)

		second := startUser(t, folder)
		another := second.server(t)
		require.Empty(t, another.Err)
		second.leave(t)
		requireGone(t, folder, another)
	})

	t.Run("EachSayWhyThereIsNoServer", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		address := listener.Addr().String()
		require.NoError(t, listener.Close())
		folder := newFolder(t)
		for range 2 {
			user := startUser(t, folder, "DATABASE_URL=postgres://u:hunter2@"+address+"/d")
			server := user.server(t)
			require.Contains(t, server.Err, "pgserver: DATABASE_URL: ")
			require.NotContains(t, server.Err, "hunter2")
			user.leave(t)
		}
	})

	t.Run("DropTheirDatabasesFromAServerThatIsNotTheirsToStop", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		host := server(t)
		user := startUser(t, folder, "DATABASE_URL="+host.url)
		guest := user.server(t)
		require.Equal(t, host.url, guest.URL)
		require.NotEqual(t, host.prefix, guest.Prefix)

		databases := &databases{prefix: guest.Prefix, url: guest.URL}
		template, err := databases.migratedTemplate(t.Context())
		require.NoError(t, err)
		require.NoError(t, databases.admin(t.Context(), func(conn *pgx.Conn) error {
			return createDatabase(t.Context(), conn, guest.Prefix+"left", template)
		}))
		require.Len(t, names(t, guest.Prefix), 2)
		user.kill(t)
		require.Eventually(t, func() bool { return len(names(t, guest.Prefix)) == 0 && !alive(guest.PID) }, deadline, 50*time.Millisecond)
		require.NoDirExists(t, folder)
	})
}

func TestStateFolder_OfSomebodyElseIsRefused(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(t *testing.T, path string){
		"ThatOthersCanRead": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.Mkdir(path, 0o700))
			require.NoError(t, os.Chmod(path, 0o755))
		},
		"ThatIsALink": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.Symlink(t.TempDir(), path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := newFolder(t)
			put(t, folder)
			_, err := lockUsers(t.Context(), folder)
			require.ErrorContains(t, err, folder+" is not a folder that only this user can read: remove it")
		})
	}
}

func TestLocks_AreWaitedForAndOfARemovedFileDoNotCount(t *testing.T) {
	t.Parallel()

	t.Run("AreWaitedForAsLongAsTheContextLasts", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "lock")
		held, err := openLocked(t.Context(), path, syscall.LOCK_EX)
		require.NoError(t, err)
		defer held.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err = openLocked(ctx, path, syscall.LOCK_SH)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, path)
	})

	t.Run("OnAFileThatWasRemovedWhileTheyWereWaitedForDoNotCount", func(t *testing.T) {
		t.Parallel()
		folder := newFolder(t)
		require.NoError(t, makeStateFolder(folder))
		path := filepath.Join(folder, usersFile)
		held, err := openLocked(t.Context(), path, syscall.LOCK_EX)
		require.NoError(t, err)

		ctx := &signalingContext{Context: t.Context(), waiting: make(chan struct{})}
		locked := make(chan *os.File)
		go func() {
			defer close(locked)
			file, err := lockUsers(ctx, folder)
			if err == nil {
				locked <- file
			}
		}()
		<-ctx.waiting
		require.NoError(t, os.Rename(folder, folder+".gone"))
		require.NoError(t, held.Close())
		users := <-locked
		require.NotNil(t, users)
		defer users.Close()
		require.True(t, isStill(users, path))
	})
}

// signalingContext tells when somebody begins to wait.
type signalingContext struct {
	context.Context //nolint:containedctx // it is one

	once    sync.Once
	waiting chan struct{}
}

func (c *signalingContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.waiting) })
	return c.Context.Done()
}

func TestSupervisor_StaysWhileAGoProcessMayStartMoreTests(t *testing.T) {
	t.Parallel()
	s := &supervisor{folder: t.TempDir()}
	require.False(t, s.suiteRuns())

	ended := startUser(t, newFolder(t), "DATABASE_URL=postgres://127.0.0.1:1/")
	ended.leave(t)
	require.NoError(t, os.WriteFile(filepath.Join(s.folder, suitePrefix+strconv.Itoa(ended.cmd.Process.Pid)), nil, 0o600))
	require.False(t, s.suiteRuns(), "that process has ended")

	require.NoError(t, os.WriteFile(filepath.Join(s.folder, suitePrefix+strconv.Itoa(os.Getpid())), nil, 0o600))
	require.True(t, s.suiteRuns())
}
