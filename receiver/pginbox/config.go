package pginbox

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

// Config configures an [Inbox]. nil is the defaults.
type Config struct {
	// Logger gets attempts that failed and what goes wrong (Warn, Error); never a
	// header or a body. Default: slog.Default().
	Logger *slog.Logger

	// MaxWorkers is the most events that this process works at once, 1 to 10,000. Each
	// whose Func has a transaction takes a connection of the pool meanwhile, and one
	// more while it is recorded or reports: keep it below the size of the pool. Default: half of
	// the pool's connections, at least 1.
	MaxWorkers int

	// PollOnly works without LISTEN, as delivery.Config.PollOnly does: events are
	// found within about 100 ms. An attempt that is under way in another process is then not
	// told that its event was deleted; it changes nothing all the same. Default: false.
	PollOnly bool

	// Retention is how long events that ended are kept, and their delivery ids
	// remembered. At least an hour. Default: 30 days.
	Retention time.Duration

	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string

	// StopTimeout is how long Stop lets attempts under way come to their end before
	// it ends their contexts. Default: 30 s.
	StopTimeout time.Duration
}

func (c *Config) withDefaults(maxConns int32) Config {
	var out Config
	if c != nil {
		out = *c
	}
	if out.Logger == nil {
		out.Logger = slog.Default()
	}
	if out.MaxWorkers == 0 {
		out.MaxWorkers = max(1, int(maxConns)/2)
	}
	if out.Retention == 0 {
		out.Retention = 30 * 24 * time.Hour
	}
	if out.Schema == "" {
		out.Schema = store.DefaultSchema
	}
	if out.StopTimeout == 0 {
		out.StopTimeout = 30 * time.Second
	}
	return out
}

func (c *Config) validate() error {
	switch {
	case c.MaxWorkers < 1 || c.MaxWorkers > 10_000:
		return errors.New("Config.MaxWorkers must be 1 to 10,000")
	case c.Retention < time.Hour:
		return errors.New("Config.Retention must be at least an hour")
	case c.StopTimeout < 0:
		return errors.New("Config.StopTimeout must not be negative")
	}
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("Config.Schema: %w", err)
	}
	return nil
}
