package hierarchy_test

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
	"github.com/riverhook/riverhook/subscription"
)

var errScheme = errors.New("must be https")

// checkHTTPS stands for egress.Policy.CheckURL.
func checkHTTPS(rawURL string) error {
	if !strings.HasPrefix(rawURL, "https://") {
		return errScheme
	}
	return nil
}

func newSubscriptions(t *testing.T, pool *pgxpool.Pool) *subscription.Store {
	t.Helper()
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckURL:    checkHTTPS,
		MaxPerOwner: -1,
		MaxPerSite:  -1,
		Sealer:      testSealer(t),
	})
	require.NoError(t, err)
	return subs
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

func specAt(site hierarchy.Path, events ...string) subscription.Spec {
	if len(events) == 0 {
		events = []string{"**"}
	}
	return subscription.Spec{
		Events: events,
		Owner:  "ada@example.com",
		Site:   site,
		URL:    "https://example.com/hook",
	}
}

func subscribeAt(t *testing.T, subs *subscription.Store, site hierarchy.Path, events ...string) *subscription.Created {
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
