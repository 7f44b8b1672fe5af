package outbox

import (
	"cmp"
	"fmt"
	"time"

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

	// Schema is the Postgres schema that [Migrate] was given: 1 to 46 of a-z, 0-9
	// and "_", no digit first. Empty: "riverhook".
	Schema string
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
	return nil
}
