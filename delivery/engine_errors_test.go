package delivery_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/manifest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestErrInvalidFilter_IsBehindEachRefusal(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	history := b.engine(nil).History()
	for field, filter := range map[string]*delivery.DeliveryFilter{
		"Hold": {Hold: "x"}, "State": {State: "x"}, "Limit": {Limit: -1}, "Cursor": {Cursor: "x"}, "Site": {Site: "x"},
		"EventType": {EventType: "X"}, "Owner": {Owner: "\x00"}, "ResourceKind": {ResourceID: "1"},
	} {
		_, err := history.Deliveries(t.Context(), filter)
		require.ErrorIs(t, err, delivery.ErrInvalidFilter, field)
		require.ErrorContains(t, err, "delivery: list deliveries: "+field+": ")
	}
	_, err := history.Deliveries(t.Context(), &delivery.DeliveryFilter{Site: "x"})
	require.ErrorIs(t, err, hierarchy.ErrInvalidPath)
	_, err = history.Deliveries(t.Context(), &delivery.DeliveryFilter{Hold: "ratelimit"})
	require.ErrorContains(t, err, `Hold: "ratelimit" is not one of cause, circuit, paused, rate, slots`)
	_, err = history.Deliveries(t.Context(), &delivery.DeliveryFilter{State: "lost"})
	require.ErrorContains(t, err, `State: "lost" is not one of cancelled, delivered, exhausted, expired, pending`)
	_, err = history.Intents(t.Context(), &delivery.IntentFilter{State: "x"})
	require.ErrorIs(t, err, delivery.ErrInvalidFilter)
	require.ErrorContains(t, err, `State: "x" is not one of cancelled, expanded, failed, pending`)
	_, err = history.Delivery(t.Context(), uuid.New())
	require.NotErrorIs(t, err, delivery.ErrInvalidFilter)
}

func TestErrNotMigrated_IsSaidByEachStore(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	engine, err := delivery.New(pool, &delivery.Config{Schema: "nowhere", Sealer: sealer()})
	require.NoError(t, err)
	ctx, subs := t.Context(), engine.Subscriptions()
	sites, err := hierarchy.NewSites(pool, &hierarchy.SitesConfig{Schema: "nowhere"})
	require.NoError(t, err)
	applier, err := manifest.New(pool, &manifest.Config{Schema: "nowhere", Subscriptions: subs})
	require.NoError(t, err)
	file, err := manifest.Parse("f", []byte("sites: [/a]"), nil)
	require.NoError(t, err)
	for name, do := range map[string]func() error{
		"create": func() error {
			_, err := subs.Create(ctx, subscription.Spec{
				URL:      "https://example.com",
				Events:   []string{"**"},
				Operator: true,
			})
			return err
		},
		"get":        func() error { _, err := subs.Get(ctx, uuid.New()); return err },
		"list":       func() error { _, err := subs.List(ctx, nil); return err },
		"site":       func() error { _, err := sites.Create(ctx, "/a"); return err },
		"deliveries": func() error { _, err := engine.History().Deliveries(ctx, nil); return err },
		"intents":    func() error { _, err := engine.History().Intents(ctx, nil); return err },
		"attempts":   func() error { _, err := engine.History().Attempts(ctx, uuid.New()); return err },
		"stats":      func() error { _, err := engine.History().Stats(ctx); return err },
		"manifest":   func() error { _, err := applier.Apply(ctx, file); return err },
		"start":      func() error { return engine.Start(ctx) },
	} {
		err := do()
		require.ErrorIs(t, err, outbox.ErrNotMigrated, name)
		require.ErrorContains(t, err, "outbox.Migrate", name)
	}
}

func TestCreate_TheURLOfAReceiverOnThisMachineNamesLocalPolicy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	strict := b.engine(func(cfg *delivery.Config) { cfg.Egress = nil }).Subscriptions()
	create := func(url string) error {
		_, err := strict.Create(t.Context(), subscription.Spec{
			URL:      url,
			Events:   []string{"**"},
			Operator: true,
		})
		return err
	}
	for _, url := range []string{
		"http://localhost:8080/hooks", "https://localhost", "http://127.0.0.1:3000", "http://[::1]:3000", "https://app.LOCALHOST.:8443/",
	} {
		err := create(url)
		require.ErrorContains(t, err, "deliverytest.LocalPolicy()", url)
		require.ErrorIs(t, err, egress.ErrBlocked)
		require.ErrorIs(t, err, subscription.ErrInvalid)
		var blocked *egress.BlockedError
		require.ErrorAs(t, err, &blocked)
		require.NotContains(t, blocked.Owner(), "deliverytest")
	}
	for _, url := range []string{"http://example.com", "https://10.0.0.1", "https://localhost.example:22/", "ftp://x"} {
		require.ErrorIs(t, create(url), egress.ErrBlocked, url)
		require.NotContains(t, create(url).Error(), "deliverytest", url)
	}
}
