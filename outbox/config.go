package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	defaultMaxDataBytes   = 256 << 10
	largestMaxDataBytes   = 64 << 20
	defaultNotifyInterval = 10 * time.Millisecond
	longestNotifyInterval = time.Minute
	never                 = -1
)

// Config of a [Client]. The zero Config is ready for use.
type Config struct {
	// MaxDataBytes is the most bytes that the JSON of an intent's Data may have,
	// from 1 to 64 MiB. 0: 256 KiB.
	MaxDataBytes int

	// NotifyInterval is how far apart, on average, the commits are with which
	// this client wakes engines; up to 5 may come close together. The others are
	// found when an engine looks next, in at most its poll interval. A
	// notification in every commit would let the commits of the whole database
	// wait for one another. From 0 to 1 minute; -1: never wakes. 0: 10 ms.
	NotifyInterval time.Duration

	// Pool is where the client reads the registered event types: not in the
	// transactions of its callers, and at most every 5 s. With it, intents of
	// archived types are refused, and data that is not as the newest schema of its
	// type says, or as Intent.SchemaVersion does. Its role needs SELECT on the
	// tables event_type and event_schema. Give it a connection to spare, or a small
	// pool of its own: where all connections are held by transactions that enqueue,
	// the read waits for them, and they for it, until it fails after 5 s
	// ([ErrEventTypesUnavailable]). nil: nothing is known of types, and intents of
	// any type are taken with any data.
	Pool *pgxpool.Pool

	// Schema is the Postgres schema that [Migrate] was given: 1 to 46 of a-z, 0-9
	// and "_", no digit first. Empty: "riverhook".
	Schema string

	// Strict refuses intents of types that are not registered. It needs Pool.
	// Default: they are taken.
	Strict bool
}

func (c *Config) withDefaults() Config {
	var cfg Config
	if c != nil {
		cfg = *c
	}
	cfg.MaxDataBytes = cmp.Or(cfg.MaxDataBytes, defaultMaxDataBytes)
	cfg.NotifyInterval = cmp.Or(cfg.NotifyInterval, defaultNotifyInterval)
	cfg.Schema = cmp.Or(cfg.Schema, store.DefaultSchema)
	return cfg
}

func (c *Config) validate() error {
	if c.MaxDataBytes < 1 || c.MaxDataBytes > largestMaxDataBytes {
		return fmt.Errorf("outbox: Config.MaxDataBytes: %d is not between 1 and %d", c.MaxDataBytes, largestMaxDataBytes)
	}
	if c.NotifyInterval != never && (c.NotifyInterval < 0 || c.NotifyInterval > longestNotifyInterval) {
		return fmt.Errorf("outbox: Config.NotifyInterval: %v is neither -1 nor between 0 and %v", c.NotifyInterval, longestNotifyInterval)
	}
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("outbox: Config.Schema: %w", err)
	}
	if c.Strict && c.Pool == nil {
		return errors.New("outbox: Config.Strict: needs Config.Pool, to know which types are registered")
	}
	return nil
}
