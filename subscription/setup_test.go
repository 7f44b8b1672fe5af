package subscription

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
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

func newSubscriptions(t *testing.T, pool *pgxpool.Pool) *Store {
	t.Helper()
	subs, err := NewStore(pool, &Config{
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
func (s *Store) byTree(tree hierarchy.Tree) *Store {
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

func newSites(t *testing.T, pool *pgxpool.Pool, paths ...hierarchy.Path) *hierarchy.Sites {
	t.Helper()
	sites, err := hierarchy.NewSites(pool, nil)
	require.NoError(t, err)
	for _, p := range paths {
		_, err := sites.Create(t.Context(), p)
		require.NoError(t, err)
	}
	return sites
}

func specAt(site hierarchy.Path, events ...string) Spec {
	if len(events) == 0 {
		events = []string{"**"}
	}
	return Spec{
		Events: events,
		Owner:  "ada@example.com",
		Site:   site,
		URL:    "https://example.com/hook",
	}
}

func subscribeAt(t *testing.T, subs *Store, site hierarchy.Path, events ...string) *Created {
	t.Helper()
	created, err := subs.Create(t.Context(), specAt(site, events...))
	require.NoError(t, err)
	return created
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
		eventtype.Patterns("person.created"))
	require.NoError(t, err)
}

// treeFunc is a tree of the application.
type treeFunc func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error)

func (f treeFunc) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return f(ctx, p)
}

func newResolver(t *testing.T, pool *pgxpool.Pool, cfg *hierarchy.ResolverConfig) *hierarchy.Resolver {
	t.Helper()
	r, err := hierarchy.NewResolver(pool, cfg)
	require.NoError(t, err)
	return r
}

// listedSites are the sites of a page.
func listedSites(page *hierarchy.SitePage, err error) ([]hierarchy.Site, error) {
	if err != nil {
		return nil, err
	}
	return page.Sites, nil
}
