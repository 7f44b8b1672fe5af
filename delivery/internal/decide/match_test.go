package decide_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func TestFinder_SubscriptionsHaveAllTheirColumns(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	full := subscription.Spec{
		Channels:    []string{"c"},
		Description: "described",
		Dialect:     "hub",
		Events:      []string{"a.*", "before:a.b"},
		FailClosed:  true,
		Filter:      "data.total == 1",
		Headers:     map[string]string{"X-Own": "1"},
		MaxInFlight: 3,
		Metadata:    map[string]string{"of": "theirs"},
		Name:        "named",
		Owner:       "ada",
		Permission:  "read",
		Schedule:    "short",
		Site:        "/a",
		Timeout:     2500 * time.Millisecond,
		URL:         "https://example.com/hook?q=1",
	}
	bare := subscription.Spec{
		Events:   []string{"**"},
		Operator: true,
		URL:      "https://example.com/",
	}
	want := map[bool]*subscription.Subscription{}
	for _, spec := range []subscription.Spec{full, bare} {
		created, err := subs.Create(t.Context(), spec)
		require.NoError(t, err)
		_, err = subs.Deactivate(t.Context(), created.ID, "because")
		require.NoError(t, err)
		want[spec.Operator], err = subs.Get(t.Context(), created.ID)
		require.NoError(t, err)
	}
	f := decide.NewFinder(resolve.New(pool, resolve.Config{}), hierarchy.Paths, batch.Config{})
	t.Cleanup(f.Close)

	found, err := f.Find(t.Context(), nil, "", resolve.Lookup{
		Channel: "c",
		Site:    "/a",
		Type:    "a.b",
	})

	require.NoError(t, err)
	require.Len(t, found.Matches, 2)
	for _, m := range found.Matches {
		require.Equal(t, *want[m.Subscription.Operator], m.Subscription)
	}
}
