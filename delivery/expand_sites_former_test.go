package delivery_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func at(site hierarchy.Path) func(in *outbox.Intent) {
	return func(in *outbox.Intent) { in.Site = site }
}

// Two tenants had a path one after the other: what happened at it is told at the one
// whose path it was for the transaction of the intent.
func TestFormerPath_EventsOfTwoTenants(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, sites *hierarchy.Sites){
		"renamed": func(t *testing.T, sites *hierarchy.Sites) {
			t.Helper()
			_, err := sites.Rename(t.Context(), "/acme", "acme-group")
			require.NoError(t, err)
		},
		"moved": func(t *testing.T, sites *hierarchy.Sites) {
			t.Helper()
			_, err := sites.Create(t.Context(), "/groups")
			require.NoError(t, err)
			_, err = sites.Move(t.Context(), "/acme", "/groups")
			require.NoError(t, err)
		},
		"renamed and deleted": func(t *testing.T, sites *hierarchy.Sites) {
			t.Helper()
			_, err := sites.Rename(t.Context(), "/acme", "acme-group")
			require.NoError(t, err)
			require.NoError(t, sites.Delete(t.Context(), "/acme-group", &hierarchy.DeleteSiteOpts{Recursive: true}))
		},
		"deleted": func(t *testing.T, sites *hierarchy.Sites) {
			t.Helper()
			require.NoError(t, sites.Delete(t.Context(), "/acme", &hierarchy.DeleteSiteOpts{Recursive: true}))
		},
	} {
		for how, arrive := range map[string]func(t *testing.T, sites *hierarchy.Sites){
			"created": func(t *testing.T, sites *hierarchy.Sites) {
				t.Helper()
				_, err := sites.Create(t.Context(), "/acme")
				require.NoError(t, err)
			},
			"renamed": func(t *testing.T, sites *hierarchy.Sites) {
				t.Helper()
				_, err := sites.Rename(t.Context(), "/second", "acme")
				require.NoError(t, err)
			},
		} {
			t.Run(name+", then "+how, func(t *testing.T) {
				t.Parallel()
				b, sites := tree(t, "/acme", "/acme/sales", "/second")
				first := b.audience("/", "/acme", "/acme/sales")
				before := []string{b.enqueue(at("/acme/sales")), b.enqueue(at("/acme/new"))}
				leave(t, sites)
				between := b.enqueue(at("/acme/sales"))
				arrive(t, sites)
				second := b.audience("/acme")
				after := b.enqueue(at("/acme/sales"))
				_, err := sites.Create(t.Context(), "/acme/new")
				require.NoError(t, err)
				below := b.audience("/acme/new")
				b.drain(b.engine(nil))

				want := []hierarchy.Path{"/", "/acme", "/acme/sales"}
				if strings.HasSuffix(name, "deleted") {
					want = []hierarchy.Path{"/"}
				}
				require.Equal(t, want, first(before[0]))
				require.Equal(t, want, first(between))
				require.Equal(t, want[:min(2, len(want))], first(before[1]))
				for _, id := range append(before, between) {
					require.Empty(t, second(id))
					require.Empty(t, below(id))
					require.Len(t, b.deliveries(id), len(first(id)))
				}
				require.Equal(t, []hierarchy.Path{"/"}, first(after))
				require.Equal(t, []hierarchy.Path{"/acme"}, second(after))
				require.Empty(t, b.decisions(after), "nothing of the first tenant is considered")
			})
		}
	}
}

// The end of an alias is that of the transaction which makes the site: whoever has not
// seen it means the former site.
func TestFormerPath_IntentRacesTheNewSite(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/acme")
	first := b.audience("/acme")
	_, err := sites.Rename(t.Context(), "/acme", "acme-group")
	require.NoError(t, err)
	var blind, within, earlier string
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		enqueue := func() string {
			res, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{Type: "user.created", Site: "/acme"})
			require.NoError(t, err)
			return res.ID
		}
		earlier = enqueue()
		_, err := sites.In(tx).Create(t.Context(), "/acme")
		require.NoError(t, err)
		within = enqueue()
		blind = b.enqueue(at("/acme")) // commits before the site is there
		return nil
	}))
	second := b.audience("/acme")
	b.drain(b.engine(nil))

	for _, id := range []string{earlier, blind} {
		require.Len(t, first(id), 1)
		require.Empty(t, second(id))
	}
	require.Empty(t, first(within))
	require.Len(t, second(within), 1)
}

// What was at a deleted site is nobody else's when the path is made again.
func TestFormerPath_SubscriptionsOfADeletedTenant(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/acme", "/acme/sales")
	r := b.receiver(nil)
	sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Site = "/acme/sales" })
	require.NoError(t, sites.Delete(t.Context(), "/acme", &hierarchy.DeleteSiteOpts{Recursive: true}))
	for _, path := range []hierarchy.Path{"/acme", "/acme/sales"} {
		_, err := sites.Create(t.Context(), path)
		require.NoError(t, err)
	}
	engine := b.engine(nil)
	tenant, err := b.subs.Within("/acme")
	require.NoError(t, err)
	seen, err := listed(tenant.List(t.Context(), nil))
	require.NoError(t, err)
	require.Empty(t, seen)
	require.Equal(t, hierarchy.Path("/"), b.subscription(sub.ID).Site)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, subscription.ErrInvalid)
	require.ErrorContains(t, err, "Site: was deleted")

	id := b.enqueue(at("/acme/sales"))
	b.drain(engine)
	require.Empty(t, b.decisions(id))
	x, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.Empty(t, x.Subscriptions)

	_, err = b.subs.Update(t.Context(), sub.ID, subscription.Update{Site: new(hierarchy.Path("/acme"))})
	require.NoError(t, err)
	_, err = b.subs.Activate(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	recovered, err := engine.Recover(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Zero(t, recovered)
	id = b.enqueue(at("/acme/sales"))
	b.drain(engine)
	require.Len(t, received(r, id), 1)
	require.Len(t, r.Requests(), 1)
}

// Explain finds the sites of an intent as its transaction saw them, and all of them in
// one version of the tree.
func TestExplain_SitesMoveMeanwhile(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/acme", "/acme/sales", "/other")
	b.audience("/acme/sales", "/other")
	id := b.enqueue(at("/acme/sales"))
	_, err := sites.Rename(t.Context(), "/acme", "acme-group")
	require.NoError(t, err)
	_, err = sites.Create(t.Context(), "/acme")
	require.NoError(t, err)
	hook := &between{}
	engine := b.traced(hook).engine(nil)
	moved := false
	hook.set(func(sql string) {
		if strings.Contains(sql, "name: ExplainOthers") && !moved {
			moved = true
			_, err := sites.Move(t.Context(), "/acme-group/sales", "/other")
			require.NoError(t, err)
		}
	})
	x, err := engine.Explain(t.Context(), id)

	require.NoError(t, err)
	require.Len(t, x.Sites, 3)
	require.Equal(t, hierarchy.Path("/other/sales"), x.Sites[0].Site)
	require.Len(t, x.Subscriptions, 2)
	for _, s := range x.Subscriptions {
		require.Equal(t, delivery.DecisionNotExpanded, s.Outcome, s.Why)
	}
}
