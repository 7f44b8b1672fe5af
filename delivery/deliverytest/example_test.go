package deliverytest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// A package of tests that each have a database: main is its TestMain, and pool what a
// test begins with.
func ExampleNewTemplate() {
	var template *deliverytest.Template
	main := func(m *testing.M) {
		var err error
		template, err = deliverytest.NewTemplate(context.Background(), os.Getenv("DATABASE_URL"),
			func(ctx context.Context, pool *pgxpool.Pool) error {
				return outbox.Migrate(ctx, pool, nil) // and the migrations of the application
			})
		if err != nil {
			panic(err)
		}
		m.Run()
		if err := template.Close(); err != nil {
			panic(err)
		}
	}
	pool := func(t *testing.T) *pgxpool.Pool {
		t.Helper()
		t.Parallel()
		return template.Pool(t)
	}
	_, _ = main, pool
}

// A test of an application: its own settings against every hostile server, with
// a short timeout, since some of them keep an attempt for as long as they can.
func ExampleHostileServers() {
	_ = func(t *testing.T, pool *pgxpool.Pool, cfg delivery.Config) {
		cfg.Egress = deliverytest.LocalPolicy()
		cfg.Timeouts.Request = time.Second
		cfg.Transport.RootCAs = deliverytest.HostileRootCAs()
		engine, err := delivery.New(pool, &cfg)
		require.NoError(t, err)
		for _, server := range deliverytest.HostileServers() {
			t.Run(server.Name, func(t *testing.T) {
				t.Parallel()
				created, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
					Events:   []string{"**"},
					Operator: true,
					URL:      server.Start(t),
				})
				require.NoError(t, err)

				attempt, _, err := engine.Ping(t.Context(), created.ID, nil)

				require.NoError(t, err)
				require.Equal(t, server.Outcome, attempt.Outcome, attempt.Error)
			})
		}
	}
}
