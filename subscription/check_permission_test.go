package subscription

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

// Where the host names its permissions, no subscription is made or changed to wait for
// a checker that will never know another.
func TestPermissions_UnknownOnesAreRefused(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	cfg := Config{
		CheckURL:    checkHTTPS,
		Permissions: []string{"view", "audit"},
		Sealer:      seal.Clear(),
	}
	subs, err := NewStore(pool, &cfg)
	require.NoError(t, err)
	refused := func(err error, reason string) {
		t.Helper()
		requireRefused(t, err, "Permission", "")
		require.ErrorContains(t, err, reason)
	}
	spec := specAt("/a")
	spec.Permission = "veiw"
	_, err = subs.Create(t.Context(), spec)
	refused(err, `"veiw" is not known; known are view, audit`)
	_, err = subs.Diff(t.Context(), subscribeAt(t, subs, "/a").ID, spec)
	refused(err, `"veiw" is not known`)
	spec.Permission = ""
	created, err := subs.Create(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, "view", created.Permission)
	_, err = subs.Update(t.Context(), created.ID, Update{Permission: new("veiw")})
	refused(err, `"veiw" is not known`)
	sub, err := subs.Update(t.Context(), created.ID, Update{Permission: new("audit")})
	require.NoError(t, err)
	require.Equal(t, "audit", sub.Permission)
	operators := specAt("/a")
	operators.Owner, operators.Operator = "", true
	_, err = subs.Create(t.Context(), operators)
	require.NoError(t, err, "nobody is asked")

	cfg.Permissions = []string{"audit"}
	strict, err := NewStore(pool, &cfg)
	require.NoError(t, err)
	_, err = strict.Create(t.Context(), spec)
	refused(err, `"view" is not known; known are audit`)
	_, err = strict.Update(t.Context(), created.ID, Update{Permission: new("")})
	refused(err, `"view" is not known`)
	_, err = strict.Update(t.Context(), subscribeAt(t, subs, "/a").ID, Update{Name: new("other fields change")})
	require.NoError(t, err)

	for _, name := range []string{"", "two\nlines"} {
		cfg.Permissions = []string{"view", name}
		_, err := NewStore(pool, &cfg)
		require.ErrorContains(t, err, "subscription: new store: Permissions: ")
	}
}
