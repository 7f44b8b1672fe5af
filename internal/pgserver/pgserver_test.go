package pgserver

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStart_TakesTheFirstSourceThatHasAServerOrSaysWhatWasTried(t *testing.T) {
	t.Parallel()

	t.Run("SaysWhatWasTriedAndWhatToInstallWhenNothingWorks", func(t *testing.T) {
		t.Parallel()
		m := bareMachine(clusterFolder(t))
		m.binGlobs = []string{"/nowhere/postgresql/*/bin"}
		m.dockerPaths = []string{"/nowhere/docker.sock"}
		m.getenv = env(nil)

		_, err := startFirst(t.Context(), nil, sources(m))
		require.ErrorIs(t, err, ErrNoServer)
		for _, part := range []string{
			"DATABASE_URL: not set",
			"no Docker daemon answers: DOCKER_HOST is not set, and nothing on /nowhere/docker.sock",
			"no initdb and postgres in PATH, pg_config --bindir, /nowhere/postgresql/*/bin",
			"embedded-postgres: may not download",
			"set DATABASE_URL to",
			"start Docker",
			"apt-get install postgresql",
		} {
			require.ErrorContains(t, err, part)
		}
		var noServer *NoServerError
		require.ErrorAs(t, err, &noServer)
		require.Len(t, noServer.Tried, 3)
	})

	t.Run("TakesTheFirstSourceThatHasAServer", func(t *testing.T) {
		t.Parallel()
		var asked []string
		have := func(name string, err error) source {
			return source{name: name, start: func(context.Context, *Opts) (*Server, error) {
				asked = append(asked, name)
				return &Server{source: name, stop: func() error { return nil }}, err
			}}
		}
		server, err := startFirst(t.Context(), nil, []source{have("a", errors.New("no a")), have("b", nil), have("c", nil)})
		require.NoError(t, err)
		require.Equal(t, "b", server.Source())
		require.Equal(t, []string{"a", "b"}, asked)
	})

	t.Run("TurnsThePanicOfASourceIntoAnError", func(t *testing.T) {
		t.Parallel()
		bad := source{name: "bad", start: func(context.Context, *Opts) (*Server, error) { panic("docker host") }}
		_, err := startFirst(t.Context(), nil, []source{bad})
		require.ErrorIs(t, err, ErrNoServer)
		require.ErrorContains(t, err, "bad: panic: docker host")
	})

	t.Run("LimitsTheTimeOfEachSource", func(t *testing.T) {
		t.Parallel()
		slow := source{name: "slow", start: func(ctx context.Context, _ *Opts) (*Server, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		_, err := startFirst(t.Context(), &Opts{Timeout: time.Millisecond}, []source{slow})
		require.ErrorIs(t, err, ErrNoServer)
	})

	for name, opts := range map[string]*Opts{
		"MaxConnections": {MaxConnections: 9},
		"Timeout":        {Timeout: -1},
	} {
		t.Run("RefusesABad"+name, func(t *testing.T) {
			t.Parallel()
			_, err := startFirst(t.Context(), opts, nil)
			require.ErrorContains(t, err, "pgserver: "+name)
		})
	}
}

func TestDatabaseURL_IsUsedAndNeverStoppedOrIsAnError(t *testing.T) {
	t.Parallel()

	setup := func(url string) []source {
		m := thisMachine()
		m.getenv = env(map[string]string{"DATABASE_URL": url, "PATH": os.Getenv("PATH")})
		return sources(m)
	}

	t.Run("IsUsedAndNeverStopped", func(t *testing.T) {
		t.Parallel()
		folder := clusterFolder(t)
		cluster, err := startFirst(t.Context(), nil, sources(bareMachine(folder)))
		require.NoError(t, err)
		defer cluster.Close()

		server, err := startFirst(t.Context(), nil, setup(cluster.URL()))
		require.NoError(t, err)
		require.Equal(t, cluster.URL(), server.URL())
		require.False(t, server.Owned())
		require.Contains(t, server.Source(), "Postgres: DATABASE_URL, 127.0.0.1:")
		require.NotContains(t, server.Source(), "postgres:")
		require.NoError(t, server.Close())
		require.Equal(t, "on", setting(t, cluster.URL(), "fsync"), "it still answers")
	})

	t.Run("ThatCannotBeReachedIsAnErrorAndNoOtherSourceTakesItsPlace", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		address := listener.Addr().String()
		require.NoError(t, listener.Close())

		_, err = startFirst(t.Context(), nil, setup("postgres://u:hunter2@"+address+"/d"))
		require.ErrorContains(t, err, "pgserver: DATABASE_URL: ")
		require.NotContains(t, err.Error(), "hunter2")
		require.NotErrorIs(t, err, ErrNoServer)
	})

	t.Run("IsPassedOverForAPrivateServer", func(t *testing.T) {
		t.Parallel()
		m := bareMachine(clusterFolder(t))
		m.getenv = env(map[string]string{"DATABASE_URL": "postgres://u:p@127.0.0.1:1/d", "PATH": os.Getenv("PATH")})
		server, err := startFirst(t.Context(), nil, sources(m.withoutURL()))
		require.NoError(t, err)
		defer server.Close()
		require.True(t, server.Owned())
		require.Equal(t, "on", setting(t, server.URL(), "fsync"))
	})

	t.Run("ThatCannotBeReadIsAnErrorWithoutThePassword", func(t *testing.T) {
		t.Parallel()
		_, err := startFirst(t.Context(), nil, setup("postgres://u:hunter2@h:port/d"))
		require.ErrorContains(t, err, "pgserver: DATABASE_URL: ")
		require.NotContains(t, err.Error(), "hunter2")
	})
}

func TestPrivateCluster_LeavesNothingAndOutlivesItsStart(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T) (*machine, string) {
		t.Helper()
		folder := clusterFolder(t)
		return bareMachine(folder), folder
	}

	t.Run("SaysInOneLineWhatItIs", func(t *testing.T) {
		t.Parallel()
		m, _ := setup(t)
		server, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		defer server.Close()
		require.Regexp(t, `^Postgres: private cluster of /\S+ on 127\.0\.0\.1:\d+$`, server.Source())
		require.True(t, server.Owned())
	})

	t.Run("IsDurableUnlessFastIsAskedFor", func(t *testing.T) {
		t.Parallel()
		m, _ := setup(t)
		durable, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		defer durable.Close()
		fast, err := startFirst(t.Context(), &Opts{Fast: true, MaxConnections: 33}, sources(m))
		require.NoError(t, err)
		defer fast.Close()
		for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			require.Equal(t, "on", setting(t, durable.URL(), name), name)
			require.Equal(t, "off", setting(t, fast.URL(), name), name)
		}
		require.Equal(t, "100", setting(t, durable.URL(), "max_connections"))
		require.Equal(t, "33", setting(t, fast.URL(), "max_connections"))
	})

	t.Run("AsksForItsPassword", func(t *testing.T) {
		t.Parallel()
		m, _ := setup(t)
		server, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		defer server.Close()
		require.Equal(t, "scram-sha-256", setting(t, server.URL(), "password_encryption"))
		_, password, _ := strings.Cut(strings.TrimPrefix(server.URL(), "postgres://"), ":")
		password, _, _ = strings.Cut(password, "@")
		m.getenv = env(map[string]string{"DATABASE_URL": strings.Replace(server.URL(), password, "guess", 1)})
		_, err = startFirst(t.Context(), nil, sources(m))
		require.ErrorContains(t, err, "password authentication failed")
	})

	t.Run("LeavesNothingAfterClose", func(t *testing.T) {
		t.Parallel()
		m, folder := setup(t)
		server, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		requireNothingLeft(t, folder, server.URL())
		require.NoError(t, server.Close(), "a second time")
	})

	t.Run("OutlivesTheContextOfItsStart", func(t *testing.T) {
		t.Parallel()
		m, _ := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		server, err := startFirst(ctx, nil, sources(m))
		require.NoError(t, err)
		defer server.Close()
		cancel()
		require.Equal(t, "on", setting(t, server.URL(), "fsync"))
	})

	t.Run("StaysUpWhenTheProgramKeepsNothingButItsURL", func(t *testing.T) {
		t.Parallel()
		m, folder := setup(t)
		serverURL := func() string {
			server, err := startFirst(t.Context(), nil, sources(m))
			require.NoError(t, err)
			return server.URL()
		}()
		runtime.GC()
		runtime.GC()
		require.Equal(t, "on", setting(t, serverURL, "fsync"))
		lifelines.Range(func(key, _ any) bool {
			if c := key.(*cluster); filepath.Dir(c.folder) == folder {
				require.NoError(t, c.stop())
			}
			return true
		})
		requireNothingLeft(t, folder, serverURL)
	})

	t.Run("LeavesNothingWhenItsStartIsCanceled", func(t *testing.T) {
		t.Parallel()
		m, folder := setup(t)
		ctx, cancel := context.WithCancel(t.Context())
		freePort := m.freePort
		m.freePort = func() (uint16, error) { // initdb is done, the server is next
			cancel()
			return freePort()
		}
		_, err := startFirst(ctx, nil, sources(m))
		require.ErrorIs(t, err, context.Canceled)
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, entries)
	})

	t.Run("TakesAnotherPortWhenItsOwnIsTaken", func(t *testing.T) {
		t.Parallel()
		m, folder := setup(t)
		other, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer other.Close()
		taken := other.Addr().(*net.TCPAddr).AddrPort().Port()
		asked, freePort := 0, m.freePort
		m.freePort = func() (uint16, error) {
			asked++
			if asked == 1 {
				return taken, nil
			}
			return freePort()
		}
		server, err := startFirst(t.Context(), nil, sources(m))
		require.NoError(t, err)
		require.Equal(t, 2, asked)
		require.NoError(t, server.Close())
		requireNothingLeft(t, folder, server.URL())
	})

	t.Run("LeavesNothingWhenItsOwnerIsKilled", func(t *testing.T) {
		t.Parallel()
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGTERM} {
			t.Run(signal.String(), func(t *testing.T) {
				t.Parallel()
				folder := clusterFolder(t)
				owner := startOwner(t, folder)
				require.Equal(t, "on", setting(t, owner.url, "fsync"))
				require.NoError(t, owner.Process.Signal(signal))
				requireNothingLeft(t, folder, owner.url)
			})
		}
	})
}
