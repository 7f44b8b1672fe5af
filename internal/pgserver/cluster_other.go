//go:build !unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

func (m *machine) startCluster(context.Context, *Opts, string, string) (*Server, error) {
	return nil, errors.New("a private cluster is made on Unix only")
}

// StartPair needs private clusters.
func StartPair(context.Context, *Opts) (primary, standby *Server, err error) {
	return nil, nil, errors.New("pgserver: a private cluster is made on Unix only")
}

// startEmbedded leaves the server to embedded-postgres. Here it outlives a
// program that is killed.
func (m *machine) startEmbedded(_ context.Context, opts *Opts) (*Server, error) {
	if !m.download {
		return nil, errors.New("may not download")
	}
	port, err := m.freePort()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "riverhook-postgres-")
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{}
	settings := opts.settings()
	for i := 1; i < len(settings); i += 2 {
		name, value, _ := strings.Cut(settings[i], "=")
		parameters[name] = value
	}
	embedded := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(embeddedpostgres.V18).
		Port(uint32(port)).
		RuntimePath(folder).
		StartParameters(parameters).
		Logger(io.Discard))
	if err := embedded.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &Server{
		owned:  true,
		source: fmt.Sprintf("Postgres: embedded-postgres %s on 127.0.0.1:%d", embeddedpostgres.V18, port),
		stop:   func() error { return errors.Join(embedded.Stop(), os.RemoveAll(folder)) },
		url:    fmt.Sprintf("postgres://postgres:postgres@127.0.0.1:%d/postgres?sslmode=disable", port),
	}, nil
}
