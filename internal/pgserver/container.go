package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/modules/postgres"
)

const (
	containerImage = "postgres:17-alpine"

	// dockerTimeout is for one question to a daemon on this machine.
	dockerTimeout = time.Second
)

// startContainer starts Postgres in a container, if a Docker daemon answers.
// The daemon is asked first in our own words: testcontainers takes its time to
// find out that there is none, and writes about it.
func (m *machine) startContainer(ctx context.Context, opts *Opts) (*Server, error) {
	if err := m.pingDocker(ctx); err != nil {
		return nil, err
	}
	log.SetDefault(log.NewNoopLogger())
	container, err := postgres.Run(ctx, containerImage,
		testcontainers.WithLogger(log.NewNoopLogger()),
		testcontainers.WithCmd(append([]string{"postgres"}, opts.settings()...)...),
		postgres.BasicWaitStrategies(),
	)
	stop := func() error { return testcontainers.TerminateContainer(container) }
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	serverURL, err := container.ConnectionString(ctx, "sslmode=disable")
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	u, err := url.Parse(serverURL)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &Server{
		owned:  true,
		source: fmt.Sprintf("Postgres: container of %s on %s", containerImage, u.Host),
		stop:   stop,
		url:    serverURL,
	}, nil
}

// pingDocker says why no Docker daemon can be used, within a second or two.
func (m *machine) pingDocker(ctx context.Context) error {
	if host := m.getenv("DOCKER_HOST"); host != "" {
		return pingDockerAt(ctx, host)
	}
	for _, path := range m.dockerPaths {
		if pingDockerAt(ctx, "unix://"+filepath.ToSlash(path)) == nil {
			return nil
		}
	}
	return fmt.Errorf("no Docker daemon answers: DOCKER_HOST is not set, and nothing on %s", strings.Join(m.dockerPaths, ", "))
}

func pingDockerAt(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	network, address, found := strings.Cut(host, "://")
	if !found || (network != "unix" && network != "tcp") {
		return fmt.Errorf("DOCKER_HOST %q: neither unix:// nor tcp://", host)
	}
	if network == "tcp" {
		// It may speak TLS with certificates of its own; that it listens is enough.
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return fmt.Errorf("no Docker daemon answers: %w", err)
		}
		return conn.Close()
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
		DisableKeepAlives: true,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", http.NoBody)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("no Docker daemon answers: %w", err)
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("no Docker daemon answers: %s says %s", host, response.Status)
	}
	return nil
}
