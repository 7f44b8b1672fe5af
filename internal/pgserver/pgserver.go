// Package pgserver finds or starts a PostgreSQL server for a program that needs
// one for as long as it runs: an example, a benchmark, the test suite.
//
// Start tries, in this order:
//
//  1. the server that DATABASE_URL names, unless Opts.Private;
//  2. a container, when a Docker daemon answers;
//  3. the server programs on this machine, as a private cluster in a temporary
//     folder, on a free port of the loopback interface;
//  4. server programs that are downloaded (embedded-postgres).
//
// What Start has started ends with Close, and also when the program ends in any
// other way, be it SIGKILL: nothing of it remains. What DATABASE_URL names is
// used as it is and never stopped.
//
// This package owns no databases: the programs create and drop their own.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Opts are the options of Start. Nil means all defaults.
type Opts struct {
	// Fast gives up durability for speed: fsync, full_page_writes and
	// synchronous_commit are off, and a private cluster lives in memory
	// (/dev/shm) where 2 GiB are free there. It has no effect on a server that
	// DATABASE_URL names. Default: false, the settings Postgres comes with.
	Fast bool

	// MaxConnections is the server's max_connections, 10 to 10000. It has no
	// effect on a server that DATABASE_URL names. Zero means 100.
	MaxConnections int

	// Private passes over DATABASE_URL: for a program that does to its server
	// what it must not do to another's. Default: false.
	Private bool

	// Timeout is the longest that one way of starting a server may take, the
	// download of images and programs included. Zero means 3 minutes.
	Timeout time.Duration
}

func (o *Opts) withDefaults() *Opts {
	var opts Opts
	if o != nil {
		opts = *o
	}
	if opts.MaxConnections == 0 {
		opts.MaxConnections = 100
	}
	if opts.Timeout == 0 {
		opts.Timeout = 3 * time.Minute
	}
	return &opts
}

func (o *Opts) validate() error {
	if o.MaxConnections < 10 || o.MaxConnections > 10000 {
		return fmt.Errorf("MaxConnections %d: must be 10 to 10000", o.MaxConnections)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("Timeout %s: must not be negative", o.Timeout)
	}
	return nil
}

// settings are the server's settings as arguments of the postgres program.
func (o *Opts) settings() []string {
	settings := []string{"-c", fmt.Sprintf("max_connections=%d", o.MaxConnections)}
	if o.Fast {
		settings = append(settings,
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_wal_size=256MB")
	}
	return settings
}

// Server is a PostgreSQL server that answers. Its methods are safe for
// concurrent use.
type Server struct {
	owned  bool
	source string
	stop   func() error
	url    string
}

// Close stops the server and removes all that was made for it. It does nothing
// to a server that DATABASE_URL names. A second call returns what the first did.
func (s *Server) Close() error {
	if err := s.stop(); err != nil {
		return fmt.Errorf("pgserver: stop: %w", err)
	}
	return nil
}

// Owned reports whether Close ends the server, with every database in it. It is
// false for a server that DATABASE_URL names.
func (s *Server) Owned() bool { return s.owned }

// Source says in one line, without a password, which server this is.
func (s *Server) Source() string { return s.source }

// URL is the connection URL of the server's maintenance database, or what
// DATABASE_URL holds. It contains the password.
func (s *Server) URL() string { return s.url }

// A source is one way to get a server. errAbsent as an error means that this
// machine does not have what it takes, so that the next source has its turn.
type source struct {
	name  string
	start func(ctx context.Context, opts *Opts) (*Server, error)
	// final sources are what the user asked for: no other one takes their place.
	final bool
}

// Start returns a server that answers, from the first source that has one, and
// tells by Server.Source which it took. When no source has one the error says
// what was tried and what to install. A DATABASE_URL that cannot be reached is
// an error: no other source takes its place. Canceling ctx ends the start, not
// a server that was returned.
func Start(ctx context.Context, opts *Opts) (*Server, error) {
	m := thisMachine()
	if opts != nil && opts.Private {
		m = m.withoutURL()
	}
	return startFirst(ctx, opts, sources(m))
}

func sources(m *machine) []source {
	all := []source{
		{name: "a container", start: m.startContainer},
		{name: "server programs", start: m.startPrograms},
		{name: "embedded-postgres", start: m.startEmbedded},
	}
	if m.getenv("DATABASE_URL") != "" {
		all = []source{{
			name:  "DATABASE_URL",
			start: m.useURL,
			final: true,
		}}
	}
	return all
}

func startFirst(ctx context.Context, opts *Opts, sources []source) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	var tried []string
	for _, source := range sources {
		server, err := startOne(ctx, opts, source)
		if err == nil {
			server.stop = sync.OnceValue(server.stop)
			return server, nil
		}
		if source.final || ctx.Err() != nil {
			return nil, fmt.Errorf("pgserver: %s: %w", source.name, err)
		}
		tried = append(tried, fmt.Sprintf("  %s: %s", source.name, indent(err)))
	}
	return nil, &NoServerError{Tried: tried}
}

func startOne(ctx context.Context, opts *Opts, source source) (server *Server, err error) {
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	// The libraries for containers panic where Docker is configured badly.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return source.start(ctx, opts)
}

func indent(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n    ")
}

// ErrNoServer is what errors.Is finds in the error of Start when no source had
// a server. What to do: install one of those that the error names.
var ErrNoServer = errors.New("no PostgreSQL server")

// NoServerError is the error of Start when no source had a server.
type NoServerError struct {
	// Tried has a line for each source: what was tried and why it failed.
	Tried []string
}

// Error says what was tried and what to install.
func (e *NoServerError) Error() string {
	return "pgserver: no PostgreSQL server: tried, in this order,\n" +
		"  DATABASE_URL: not set\n" +
		strings.Join(e.Tried, "\n") + "\n" +
		"What helps, each by itself:\n" +
		"  set DATABASE_URL to a PostgreSQL 15 or newer, e.g. postgres://user:password@localhost:5432/postgres\n" +
		"  start Docker\n" +
		"  install the server programs: `apt-get install postgresql`, `dnf install postgresql-server`, `brew install postgresql`"
}

// Is makes ErrNoServer match.
func (e *NoServerError) Is(target error) bool { return target == ErrNoServer }
