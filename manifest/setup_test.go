package manifest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/signing"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func TestMain(m *testing.M) {
	if database := os.Getenv(childEnv); database != "" {
		child(database)
		return
	}
	pgtest.Main(m)
}

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func secretOf(text string) signing.Secret {
	secret, err := signing.ReadSecret(text)
	if err != nil {
		panic(err)
	}
	return secret
}

// variables is an environment.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// parse is a manifest that must be right.
func parse(t require.TestingT, text string, env environment) *Manifest {
	m, err := Parse("webhooks.yaml", []byte(text), &ParseOpts{Env: env.lookup})
	require.NoError(t, err)
	return m
}

// bundle is a database and what applies manifests to it.
type bundle struct {
	t       *testing.T
	applier *Applier
	pool    *pgxpool.Pool
	subs    *subscription.Store
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupIn(t, pgtest.Pool(t))
}

func setupIn(t *testing.T, pool *pgxpool.Pool) *bundle {
	t.Helper()
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckFilter: filter.Check,
		CheckURL:    checkHTTPS,
		Sealer:      testSealer(t),
	})
	require.NoError(t, err)
	applier, err := New(pool, &Config{Subscriptions: subs})
	require.NoError(t, err)
	return &bundle{
		t:       t,
		applier: applier,
		pool:    pool,
		subs:    subs,
	}
}

// testSealer is another at each call, with the same key.
func testSealer(t *testing.T) seal.Sealer {
	t.Helper()
	keys, err := seal.ParseKeyset("rhseal_a2V5IG9mIHRoZSB0ZXN0cyBvZiBzdWJzY3JpcHRpb24=")
	require.NoError(t, err)
	return keys
}

// poolTo is a small pool of its own.
func poolTo(t *testing.T, database string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(database)
	require.NoError(t, err)
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// authority is a certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// checkHTTPS stands for egress.Policy.CheckURL.
func checkHTTPS(rawURL string) error {
	if !strings.HasPrefix(rawURL, "https://") {
		return errors.New("must be https")
	}
	return nil
}

// apply plans and applies, and requires that these are one.
func (b *bundle) apply(text string, env environment) *Plan {
	b.t.Helper()
	m := parse(b.t, text, env)
	planned, err := b.applier.Plan(b.t.Context(), m)
	require.NoError(b.t, err)
	applied, err := b.applier.Apply(b.t.Context(), m)
	require.NoError(b.t, err)
	require.Equal(b.t, planned.String(), applied.String())
	return applied
}

// subscription is the one of a key that is not deleted.
func (b *bundle) subscription(manifest, key string) *subscription.Subscription {
	b.t.Helper()
	page, err := b.subs.List(b.t.Context(), &subscription.ListOpts{Limit: 1000})
	require.NoError(b.t, err)
	for i := range page.Subscriptions {
		if s := &page.Subscriptions[i]; s.Manifest == manifest && s.ManifestKey == key {
			return s
		}
	}
	require.Failf(b.t, "there is no such subscription", "%s of %s", key, manifest)
	return nil
}

// awaitLock returns when somebody waits for a lock, which must be an advisory one.
func (b *bundle) awaitLock(ctx context.Context) {
	b.t.Helper()
	var lock string
	require.Eventually(b.t, func() bool {
		require.NoError(b.t, b.pool.QueryRow(ctx, `SELECT coalesce(max(wait_event), '') FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&lock))
		return lock != ""
	}, time.Minute, time.Millisecond)
	require.Equal(b.t, "advisory", lock)
}

// database is what there is, as text, without times.
func (b *bundle) database() string {
	b.t.Helper()
	var all string
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `
		SELECT coalesce(string_agg(row::text, E'\n' ORDER BY row::text), '') FROM (
			SELECT to_jsonb(s) AS row FROM riverhook.subscription s
			UNION ALL SELECT to_jsonb(s) FROM riverhook.site s
			UNION ALL SELECT to_jsonb(s) FROM riverhook.secret s
			UNION ALL SELECT to_jsonb(s) FROM riverhook.endpoint_auth s
			UNION ALL SELECT to_jsonb(s) FROM riverhook.event_type s
			UNION ALL SELECT to_jsonb(s) FROM riverhook.event_schema s) all_rows`).Scan(&all))
	return all
}
