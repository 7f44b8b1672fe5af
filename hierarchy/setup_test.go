package hierarchy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/seal"
)

var errScheme = errors.New("must be https")

// checkHTTPS stands for egress.Policy.CheckURL.
func checkHTTPS(rawURL string) error {
	if !strings.HasPrefix(rawURL, "https://") {
		return errScheme
	}
	return nil
}

var errNoComparison = errors.New("line 1, column 1: compares nothing")

// checkEqual stands for filter.Check.
func checkEqual(expr string) error {
	if !strings.Contains(expr, "==") {
		return errNoComparison
	}
	return nil
}

func newSubscriptions(t *testing.T, pool *pgxpool.Pool) *Subscriptions {
	t.Helper()
	subs, err := NewSubscriptions(pool, &SubscriptionsConfig{
		CheckFilter: checkEqual,
		CheckURL:    checkHTTPS,
		MaxPerOwner: noLimit,
		MaxPerSite:  noLimit,
		Sealer:      testSealer(t),
	})
	require.NoError(t, err)
	return subs
}

// byTree is the store with another tree.
func (s *Subscriptions) byTree(tree Tree) *Subscriptions {
	other := *s
	other.cfg.Tree = tree
	return &other
}

// testSealer is another at each call, with the same key.
func testSealer(t *testing.T) seal.Sealer {
	t.Helper()
	keys, err := seal.ParseKeyset("rhseal_a2V5IG9mIHRoZSB0ZXN0cyBvZiBzdWJzY3JpcHRpb24=")
	require.NoError(t, err)
	return keys
}

func newSites(t *testing.T, pool *pgxpool.Pool, paths ...Path) *Sites {
	t.Helper()
	sites, err := NewSites(pool, nil)
	require.NoError(t, err)
	for _, p := range paths {
		_, err := sites.Create(t.Context(), p)
		require.NoError(t, err)
	}
	return sites
}

func specAt(site Path, events ...string) SubscriptionSpec {
	if len(events) == 0 {
		events = []string{"**"}
	}
	return SubscriptionSpec{
		Events: events,
		Owner:  "ada@example.com",
		Site:   site,
		URL:    "https://example.com/hook",
	}
}

func subscribeAt(t *testing.T, subs *Subscriptions, site Path, events ...string) *Created {
	t.Helper()
	created, err := subs.Create(t.Context(), specAt(site, events...))
	require.NoError(t, err)
	return created
}

var execModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// poolIn is a pool to the same database that uses another way to send statements.
func poolIn(t *testing.T, pool *pgxpool.Pool, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.ConnConfig.DefaultQueryExecMode = mode
	cfg.MaxConns = 2
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(other.Close)
	return other
}

// inRolledBackTx runs fn in a transaction that leaves nothing.
func inRolledBackTx(t *testing.T, pool *pgxpool.Pool, fn func(tx pgx.Tx)) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context())) // if fn has ended the test
	fn(tx)
	require.NoError(t, tx.Rollback(t.Context()))
}

// testContext is for helpers that property tests share with others.
func testContext(t require.TestingT) (context.Context, context.CancelFunc) {
	if c, ok := t.(interface{ Context() context.Context }); ok {
		return context.WithCancel(c.Context())
	}
	return context.WithCancel(context.Background())
}

// userExtendsPerson makes user.created heard as person.created as well.
func userExtendsPerson(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `
		INSERT INTO riverhook.event_type (name, extends, umbrella_patterns) VALUES ('user.created', '{person.created}', $1)`,
		Patterns("person.created"))
	require.NoError(t, err)
}
