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

func TestABadFieldOfTheConfigurationIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	for field, spoil := range map[string]func(cfg *delivery.Config){
		"AccessMaxAge":           func(cfg *delivery.Config) { cfg.AccessMaxAge = -1 },
		"AskTimeout":             func(cfg *delivery.Config) { cfg.AskTimeout = -1 },
		"ChunkSize":              func(cfg *delivery.Config) { cfg.ChunkSize = 10_001 },
		"Deactivation.Window":    func(cfg *delivery.Config) { cfg.Deactivation.Window = -1 },
		"ExternalizeTimeout":     func(cfg *delivery.Config) { cfg.ExternalizeTimeout = -1 },
		"ExternalizeTries":       func(cfg *delivery.Config) { cfg.ExternalizeTries = -1 },
		"HookTimeout":            func(cfg *delivery.Config) { cfg.HookTimeout = time.Microsecond },
		"History":                func(cfg *delivery.Config) { cfg.History.PerSubscription = -1 },
		"ID":                     func(cfg *delivery.Config) { cfg.ID = strings.Repeat("x", 101) },
		"MaintenanceInterval":    func(cfg *delivery.Config) { cfg.MaintenanceInterval = time.Microsecond },
		"MaxHold":                func(cfg *delivery.Config) { cfg.MaxHold = -1 },
		"MaxInFlight":            func(cfg *delivery.Config) { cfg.MaxInFlight = -1 },
		"MaxInFlightPerEndpoint": func(cfg *delivery.Config) { cfg.MaxInFlightPerEndpoint = -1 },
		"MaxWorkers":             func(cfg *delivery.Config) { cfg.MaxWorkers = 10_001 },
		"Permissions":            func(cfg *delivery.Config) { cfg.Permissions = []string{"view", ""} },
		"RedecideAfter":          func(cfg *delivery.Config) { cfg.RedecideAfter = -1 },
		"ResponseBytes":          func(cfg *delivery.Config) { cfg.ResponseBytes = -2 },
		"Schedules":              func(cfg *delivery.Config) { cfg.Schedules = map[string]delivery.Schedule{"BAD": {}} },
		"Schema":                 func(cfg *delivery.Config) { cfg.Schema = "no such;" },
		"Sealer":                 func(cfg *delivery.Config) { cfg.Sealer = (*seal.Keyset)(nil) },
		"StopTimeout":            func(cfg *delivery.Config) { cfg.StopTimeout = -1 },
		"Timeout: is 20ns;":      func(cfg *delivery.Config) { cfg.Timeout = 20 },
	} {
		cfg := delivery.Config{Sealer: sealer()}
		spoil(&cfg)
		_, err := delivery.New(pool, &cfg)
		require.ErrorContains(t, err, "delivery: config: "+field)
	}
	_, err := delivery.New(nil, nil)
	require.ErrorContains(t, err, "pool")
}

func TestAConfigurationIsCopied(t *testing.T) {
	t.Parallel()
	cfg := delivery.Config{Sealer: seal.Clear()}

	_, err := delivery.New(pgtest.Pool(t), &cfg)

	require.NoError(t, err)
	require.Equal(t, delivery.Config{Sealer: seal.Clear()}, cfg)
}

func TestWithoutASealerThereIsNoEngine(t *testing.T) {
	t.Parallel()
	for _, cfg := range []*delivery.Config{nil, {}} {
		_, err := delivery.New(pgtest.Pool(t), cfg)
		require.ErrorContains(t, err, "delivery: config: Sealer: is required: seal.ParseKeyset ")
		require.ErrorContains(t, err, "seal.Clear() stores secrets in clear")
	}
}
