package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

func TestConfig_ABadFieldIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for field, spoil := range map[string]func(cfg *delivery.Config){
		"Access.MaxAge: ":                 func(cfg *delivery.Config) { cfg.Access.MaxAge = -1 },
		"Timeouts.Ask: ":                  func(cfg *delivery.Config) { cfg.Timeouts.Ask = -1 },
		"Limits.BytesInFlight: ":          func(cfg *delivery.Config) { cfg.Limits.BytesInFlight = 1<<20 - 1 },
		"Limits.ChunkSize: ":              func(cfg *delivery.Config) { cfg.Limits.ChunkSize = 10_001 },
		"Deactivation.Window":             func(cfg *delivery.Config) { cfg.Deactivation.Window = -1 },
		"Externalize.Timeout: ":           func(cfg *delivery.Config) { cfg.Externalize.Timeout = -1 },
		"Externalize.Tries: ":             func(cfg *delivery.Config) { cfg.Externalize.Tries = -1 },
		"Timeouts.Hook: ":                 func(cfg *delivery.Config) { cfg.Timeouts.Hook = time.Microsecond },
		"History.PerSubscription: ":       func(cfg *delivery.Config) { cfg.History.PerSubscription = -1 },
		"ID":                              func(cfg *delivery.Config) { cfg.ID = strings.Repeat("x", 101) },
		"Maintenance.Interval: ":          func(cfg *delivery.Config) { cfg.Maintenance.Interval = time.Microsecond },
		"Maintenance.MaxHold: is 1µs;":    func(cfg *delivery.Config) { cfg.Maintenance.MaxHold = time.Microsecond },
		"Limits.FilterCostPerOwner: ":     func(cfg *delivery.Config) { cfg.Limits.FilterCostPerOwner = -2 },
		"Limits.InFlight: ":               func(cfg *delivery.Config) { cfg.Limits.InFlight = -1 },
		"Limits.InFlightPerEndpoint: ":    func(cfg *delivery.Config) { cfg.Limits.InFlightPerEndpoint = -1 },
		"Limits.MaxInFlightPerEndpoint: ": func(cfg *delivery.Config) { cfg.Limits.MaxInFlightPerEndpoint = 31 },
		"Limits.MaxRate.Events: is -1":    func(cfg *delivery.Config) { cfg.Limits.MaxRate.Events = -1 },
		"Timeouts.MaxRequest: ":           func(cfg *delivery.Config) { cfg.Timeouts.MaxRequest = 19 * time.Second },
		"Limits.Workers: ":                func(cfg *delivery.Config) { cfg.Limits.Workers = 10_001 },
		"Access.Permissions: ":            func(cfg *delivery.Config) { cfg.Access.Permissions = []string{"view", ""} },
		"Maintenance.ReevaluateAfter: ":   func(cfg *delivery.Config) { cfg.Maintenance.ReevaluateAfter = -1 },
		"Limits.ResponseBytes: ":          func(cfg *delivery.Config) { cfg.Limits.ResponseBytes = -2 },
		"Limits.RequestBytes: ":           func(cfg *delivery.Config) { cfg.Limits.RequestBytes = 1 << 30 },
		"Timeouts.Record: ":               func(cfg *delivery.Config) { cfg.Timeouts.Record = time.Millisecond },
		"Verification.Interval: ":         func(cfg *delivery.Config) { cfg.Verification.Interval = time.Microsecond },
		"Schedules":                       func(cfg *delivery.Config) { cfg.Schedules = map[string]delivery.Schedule{"BAD": {}} },
		"Schema":                          func(cfg *delivery.Config) { cfg.Schema = "no such;" },
		"Sealer":                          func(cfg *delivery.Config) { cfg.Sealer = (*seal.Keyset)(nil) },
		"Timeouts.Stop: ":                 func(cfg *delivery.Config) { cfg.Timeouts.Stop = -1 },
		"Timeouts.Request: is 20ns;":      func(cfg *delivery.Config) { cfg.Timeouts.Request = 20 },
	} {
		cfg := delivery.Config{Sealer: sealer()}
		spoil(&cfg)
		_, err := delivery.New(pool, &cfg)
		require.ErrorContains(t, err, "delivery: config: "+field)
	}
	_, err := delivery.New(nil, nil)
	require.ErrorContains(t, err, "pool")
}

func TestConfig_IsCopied(t *testing.T) {
	t.Parallel()
	cfg := delivery.Config{Sealer: seal.Clear()}

	_, err := delivery.New(pgtest.Pool(t), &cfg)

	require.NoError(t, err)
	require.Equal(t, delivery.Config{Sealer: seal.Clear()}, cfg)
}

func TestConfig_WithoutASealerThereIsNoEngine(t *testing.T) {
	t.Parallel()
	for _, cfg := range []*delivery.Config{nil, {}} {
		_, err := delivery.New(pgtest.Pool(t), cfg)
		require.ErrorContains(t, err, "delivery: config: Sealer: is required: seal.ParseKeyset ")
		require.ErrorContains(t, err, "seal.Clear() stores secrets in clear")
	}
}
