package access_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
)

// managersOf knows who manages which sites.
func managersOf(managed map[string][]access.Path) func(context.Context, string, []access.Path) (bool, error) {
	return func(_ context.Context, principal string, sites []access.Path) (bool, error) {
		return slices.ContainsFunc(sites, func(site access.Path) bool { return slices.Contains(managed[principal], site) }), nil
	}
}

func oneOperator(_ context.Context, principal string) (bool, error) { return principal == "root", nil }

func TestSiteManagers_KeepTheContract(t *testing.T) {
	t.Parallel()
	auth := &access.SiteManagers{IsManager: managersOf(map[string][]access.Path{"max": {"/a"}, "top": {"/"}}), IsOperator: oneOperator}
	at := func(principal string, verb access.Verb, site access.Path) access.Action {
		return access.Action{
			Principal:  principal,
			Verb:       verb,
			Site:       site,
			Owner:      "ann",
			Permission: "view",
			Events:     []string{"**"},
			Channels:   []string{"c"},
		}
	}
	operators := access.Action{
		Principal: "top",
		Verb:      access.VerbView,
		Site:      "/a",
		Operator:  true,
	}
	byOperator := operators
	byOperator.Principal = "root"
	ownerless := access.Action{
		Principal: "ann",
		Verb:      access.VerbView,
		Site:      "/a",
		Owner:     "ann",
		Operator:  true,
	}
	no := access.ErrDenied
	accesstest.RunAuthorizer(t, auth, []accesstest.ActionCase{
		{Name: "the owner sees its own", Action: at("ann", access.VerbView, "/a/b")},
		{Name: "the owner reads its secret", Action: at("ann", access.VerbSecret, "/a/b")},
		{
			Name:   "the owner does not make what it would own",
			Action: at("ann", access.VerbCreate, "/a/b"),
			Want:   no,
		},
		{
			Name:   "a stranger sees nothing",
			Action: at("bob", access.VerbView, "/a/b"),
			Want:   no,
		},
		{Name: "a manager acts below its site", Action: at("max", access.VerbSecret, "/a/b")},
		{Name: "a manager creates at its site", Action: at("max", access.VerbCreate, "/a")},
		{
			Name:   "a manager does nothing beside its site",
			Action: at("max", access.VerbView, "/ab"),
			Want:   no,
		},
		{
			Name:   "a manager does nothing above its site",
			Action: at("max", access.VerbView, "/"),
			Want:   no,
		},
		{Name: "the manager of / creates in a tenant", Action: at("top", access.VerbCreate, "/a")},
		{
			Name:   "the manager of / creates nothing there",
			Action: at("top", access.VerbCreate, "/"),
			Want:   no,
		},
		{Name: "an operator creates at /", Action: at("root", access.VerbCreate, "/")},
		{
			Name:   "a manager does not see an operator's",
			Action: operators,
			Want:   no,
		},
		{Name: "an operator sees an operator's", Action: byOperator},
		{
			Name:   "an operator's has no owner",
			Action: ownerless,
			Want:   no,
		},
	})
}

// Everything that may be asked of a small world, against rules in other words.
func TestSiteManagers_DecideAsAModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sites := []access.Path{"/", "/a", "/a/b", "/a/b/c", "/ab", "/d"}
		people := []string{"ann", "bob", "eve"}
		managed := map[string][]access.Path{}
		for _, p := range people {
			managed[p] = rapid.SliceOfN(rapid.SampledFrom(sites), 0, 2).Draw(t, "managed by "+p)
		}
		operators := rapid.SliceOfN(rapid.SampledFrom(people), 0, 1).Draw(t, "operators")
		creators := rapid.SliceOfN(rapid.SampledFrom(people), 0, 2).Draw(t, "creators")
		auth := &access.SiteManagers{
			IsManager:  managersOf(managed),
			IsOperator: func(_ context.Context, p string) (bool, error) { return slices.Contains(operators, p), nil },
			MayCreate: func(_ context.Context, a access.Action) (bool, error) {
				return slices.Contains(creators, a.Principal), nil
			},
		}
		actions := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) access.Action {
			a := access.Action{
				Principal: rapid.SampledFrom(append([]string{""}, people...)).Draw(t, "principal"),
				Verb:      rapid.SampledFrom(append(access.Verbs(), "", "own")).Draw(t, "verb"),
				Site:      rapid.SampledFrom(sites).Draw(t, "site"),
				Operator:  rapid.Bool().Draw(t, "operator"),
			}
			if !a.Operator {
				a.Owner = rapid.SampledFrom(people).Draw(t, "owner")
			}
			return a
		}), 1, 20).Draw(t, "actions")

		answers := auth.AuthorizeMany(context.Background(), actions)
		for i, a := range actions {
			manages := slices.ContainsFunc(managed[a.Principal], func(m access.Path) bool {
				return strings.HasPrefix(string(a.Site)+"/", strings.TrimSuffix(string(m), "/")+"/")
			})
			var want bool
			switch {
			case a.Principal == "" || a.Verb == "" || a.Verb == "own":
			case slices.Contains(operators, a.Principal):
				want = true
			case a.Operator:
			case a.Verb != access.VerbCreate:
				want = manages || a.Owner == a.Principal
			case a.Site != "/":
				want = manages || a.Owner == a.Principal && slices.Contains(creators, a.Principal)
			}
			if want {
				require.NoError(t, answers[i], "%+v", a)
			} else {
				require.ErrorIs(t, answers[i], access.ErrDenied, "%+v", a)
			}
			require.Equal(t, answers[i], auth.Authorize(context.Background(), a))
		}
	})
}

func TestSiteManagers_AllowNothingThatTheyCannotKnow(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	chainOf := func(chain []access.Path, err error) func(context.Context, access.Path) ([]access.Path, error) {
		return func(context.Context, access.Path) ([]access.Path, error) { return chain, err }
	}
	everybody := func(context.Context, string, []access.Path) (bool, error) { return true, nil }
	stranger := by("bob", access.VerbView)

	var zero access.SiteManagers
	require.NoError(t, zero.Authorize(t.Context(), by("ann", access.VerbView)), "the owner")
	require.ErrorIs(t, zero.Authorize(t.Context(), stranger), access.ErrDenied)
	for name, auth := range map[string]*access.SiteManagers{
		"operators": {IsManager: everybody, IsOperator: func(context.Context, string) (bool, error) { return true, down }},
		"sites":     {IsManager: everybody, Ancestors: chainOf([]access.Path{"/a", "/"}, down)},
		"managers":  {IsManager: func(context.Context, string, []access.Path) (bool, error) { return false, down }},
	} {
		require.ErrorIs(t, auth.Authorize(t.Context(), stranger), down, name)
	}
	for name, chain := range map[string][]access.Path{"no site": nil, "a chain without an end": {"/a"}} {
		err := (&access.SiteManagers{IsManager: everybody, Ancestors: chainOf(chain, nil)}).Authorize(t.Context(), stranger)
		require.Error(t, err, name)
		require.NotErrorIs(t, err, access.ErrDenied, name)
	}
	for _, site := range []access.Path{"", "a", "/a/"} {
		stranger.Site = site
		require.Error(t, (&access.SiteManagers{IsManager: everybody}).Authorize(t.Context(), stranger), site)
	}
}

// A site that is not known counts as the nearest above it that is; where that is
// "/", nobody but an operator may subscribe.
func TestSiteManagers_LeaveWhatLeadsToTheRootToOperators(t *testing.T) {
	t.Parallel()
	auth := &access.SiteManagers{
		Ancestors:  func(context.Context, access.Path) ([]access.Path, error) { return []access.Path{"/"}, nil },
		IsManager:  managersOf(map[string][]access.Path{"top": {"/"}}),
		IsOperator: oneOperator,
		MayCreate:  func(context.Context, access.Action) (bool, error) { return true, nil },
	}
	for principal, want := range map[string]error{"top": access.ErrDenied, "ann": access.ErrDenied, "root": nil} {
		require.ErrorIs(t, auth.Authorize(t.Context(), by(principal, access.VerbCreate)), want, principal)
	}
}
