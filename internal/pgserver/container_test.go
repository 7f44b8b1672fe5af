package pgserver

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPingDocker_FindsTheFirstDaemonThatAnswers(t *testing.T) {
	t.Parallel()

	// daemon listens on a socket as a Docker daemon does.
	daemon := func(t *testing.T, answer http.HandlerFunc) string {
		t.Helper()
		dir, err := os.MkdirTemp("", "docker") //nolint:usetesting // the path of a socket must be short
		require.NoError(t, err)
		path := filepath.Join(dir, "d.sock")
		listener, err := net.Listen("unix", path)
		require.NoError(t, err)
		server := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = server.Serve(listener)
		}()
		t.Cleanup(func() {
			require.NoError(t, server.Close())
			<-done
			require.NoError(t, os.RemoveAll(dir))
		})
		return path
	}
	up := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			w.WriteHeader(http.StatusNotFound)
		}
	}
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
	setup := func(dockerHost string, paths ...string) *machine {
		return &machine{dockerPaths: paths, getenv: env(map[string]string{"DOCKER_HOST": dockerHost})}
	}

	t.Run("FindsADaemonOnTheFirstPathThatAnswers", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, setup("", "/nowhere/docker.sock", daemon(t, down), daemon(t, up)).pingDocker(t.Context()))
	})

	t.Run("ADaemonThatIsUnwellIsNone", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, setup("", daemon(t, down)).pingDocker(t.Context()), "no Docker daemon answers")
		require.ErrorContains(t, setup("unix://"+daemon(t, down)).pingDocker(t.Context()), "500 Internal Server Error")
	})

	t.Run("DockerHostComesFirst", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, setup("unix://"+daemon(t, up)).pingDocker(t.Context()))
		require.ErrorContains(t, setup("unix:///nowhere/docker.sock", daemon(t, up)).pingDocker(t.Context()), "/nowhere/docker.sock")
		require.ErrorContains(t, setup("ssh://host").pingDocker(t.Context()), `DOCKER_HOST "ssh://host"`)
	})

	t.Run("DockerHostMayBeTCP", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		require.NoError(t, setup("tcp://"+listener.Addr().String()).pingDocker(t.Context()))
		// A port that was closed just now may be another test's by now.
		require.ErrorContains(t, setup("tcp://127.0.0.1:1").pingDocker(t.Context()), "no Docker daemon answers")
	})

	t.Run("ADaemonThatHangsIsGivenUp", func(t *testing.T) {
		t.Parallel()
		hang := daemon(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		start := time.Now()
		require.ErrorIs(t, setup("unix://"+hang).pingDocker(t.Context()), context.DeadlineExceeded)
		require.Less(t, time.Since(start), deadline)
	})
}
