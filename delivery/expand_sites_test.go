package delivery_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestExpand_AnEventIsToldUpTheChainOfItsSiteAndNowhereElse(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaa/nws/oun/desk", "/noaa/nws/ama", "/noaa/nws/ou", "/usgs")

	id := b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa", "/noaa/nws", "/noaa/nws/oun"}, told(id))
	require.Len(t, b.deliveries(id), 4)
	require.Empty(t, b.decisions(id), "who is not told leaves no trace of a decision")
}

func TestExpand_ADeliverySaysWhichSiteAndPatternBroughtIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, func(spec *subscription.Spec) {
		spec.Site, spec.Events = "/noaa", []string{"office.*", "user.*"}
	})

	b.enqueue(nil)
	b.drain(b.engine(nil))

	require.Equal(t, "/noaa user.*", b.text(`SELECT matched_site || ' ' || matched_pattern FROM riverhook.delivery`))
}

func TestExpand_TheActiveSiteIsToldWithoutItsAncestors(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa/nws/oun", "/usgs", "/usgs/water", "/usgs/water/gauge")

	id := b.enqueue(func(in *outbox.Intent) { in.ActiveSite = "/usgs/water" })
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws/oun", "/usgs/water"}, told(id))
}

func TestExpand_WithActiveChainAncestorsOfTheActiveSiteAreToldToo(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa/nws/oun", "/usgs", "/usgs/water", "/usgs/water/gauge")

	id := b.enqueue(func(in *outbox.Intent) { in.ActiveSite = "/usgs/water" })
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.ActiveChain = true }))

	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws/oun", "/usgs", "/usgs/water"}, told(id), "the root is told once")
}

func TestExpand_AnActiveSiteThatIsInTheChainIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa")

	id := b.enqueue(func(in *outbox.Intent) { in.ActiveSite = "/noaa" })
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa"}, told(id))
}

func TestExpand_AResourceWithoutASiteIsToldAtTheRoot(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa")

	id := b.enqueue(func(in *outbox.Intent) { in.Site = "" })
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/"}, told(id))
}

func TestExpand_ASubscriptionThatMatchesInManyWaysIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, func(spec *subscription.Spec) {
		spec.Site, spec.Events = "/noaa", []string{"**", "user.*", "user.created"}
	})

	id := b.enqueue(func(in *outbox.Intent) { in.ActiveSite = "/noaa" })
	b.drain(b.engine(func(cfg *delivery.Config) { cfg.ActiveChain = true }))

	require.Len(t, r.Requests(), 1)
	require.Len(t, b.deliveries(id), 1)
}

// Rows of both offices are deleted in one transaction that runs at the root:
// each office hears of its own, and who is above of all.
func TestExpand_ABulkOperationOverTwoOfficesTellsEachItsOwn(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/", "/noaa/nws", "/noaa/nws/oun", "/noaa/nws/ama")
	person := func(id string, site hierarchy.Path) outbox.Intent {
		return outbox.Intent{
			ID:         id,
			Type:       "user.deleted",
			Site:       site,
			ActiveSite: "/",
			Resource:   access.Resource{Kind: "user", ID: id},
		}
	}

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.outbox.EnqueueMany(t.Context(), tx, []outbox.Intent{
			person("ada", "/noaa/nws/oun"), person("bob", "/noaa/nws/ama"), person("cyd", "/noaa/nws/oun"),
		})
		return err
	}))
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws", "/noaa/nws/oun"}, told("ada"))
	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws", "/noaa/nws/ama"}, told("bob"))
	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws", "/noaa/nws/oun"}, told("cyd"))
}

func TestExpand_SeveralEventsOfOneResourceAreNotMerged(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/noaa")
	var results []outbox.Result

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) (err error) {
		in := outbox.Intent{
			Type:     "user.updated",
			Site:     "/noaa",
			Resource: access.Resource{Kind: "user", ID: "ada"},
		}
		results, err = b.outbox.EnqueueMany(t.Context(), tx, []outbox.Intent{in, in})
		return err
	}))
	b.drain(b.engine(nil))

	for _, res := range results {
		require.Equal(t, []hierarchy.Path{"/noaa"}, told(res.ID))
	}
}

// tree makes a bundle whose engines take the hierarchy from the table of sites.
func tree(t *testing.T, paths ...hierarchy.Path) (*bundle, *hierarchy.Sites) {
	t.Helper()
	b := newBundle(t)
	sites, err := hierarchy.NewSites(b.pool, nil)
	require.NoError(t, err)
	for _, path := range paths {
		_, err := sites.Create(t.Context(), path)
		require.NoError(t, err)
	}
	b.cfg.Tree = sites
	return b, sites
}

func TestExpand_ASiteThatMovesMeanwhileIsToldWhereItIsNow(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/noaa/nws/oun", "/usgs")
	told := b.audience("/", "/noaa", "/noaa/nws", "/noaa/nws/oun", "/usgs")

	id := b.enqueue(nil)
	_, err := sites.Move(t.Context(), "/noaa/nws/oun", "/usgs")
	require.NoError(t, err)
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa/nws/oun", "/usgs"}, told(id), "who subscribed at the moved site moved along")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.delivery WHERE matched_site = '/usgs/oun'`))
}

func TestExpand_ARenamedSiteIsStillTold(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/noaa/nws/oun")
	told := b.audience("/noaa/nws/oun")

	id := b.enqueue(nil)
	_, err := sites.Rename(t.Context(), "/noaa/nws", "weather")
	require.NoError(t, err)
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/noaa/nws/oun"}, told(id))
}

func TestExpand_ADeletedSitesNearestLivingAncestorIsTold(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaa/nws/ama")
	told := b.audience("/", "/noaa", "/noaa/nws", "/noaa/nws/oun", "/noaa/nws/ama")

	id := b.enqueue(nil)
	require.NoError(t, sites.Delete(t.Context(), "/noaa/nws", &hierarchy.DeleteSiteOpts{Recursive: true}))
	b.drain(b.engine(nil))

	require.Equal(t, []hierarchy.Path{"/", "/noaa"}, told(id))
}

// A tree of the application's own that fails keeps the intent, for the next try.
func TestExpand_AnIntentWaitsWhileTheTreeFails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	told := b.audience("/noaa")
	script := accesstest.NewScript(context.DeadlineExceeded, nil) // any source of errors will do
	b.cfg.Tree = treeFunc(func(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
		if err := script.Check(ctx, access.Request{}); err != nil {
			return nil, err
		}
		return p.Ancestors(), nil
	})
	engine := b.engine(nil)

	id := b.enqueue(nil)
	_, err := engine.RunDue(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, told(id))
	b.drainAhead(engine, 2*stallWait)

	require.Equal(t, []hierarchy.Path{"/noaa"}, told(id))
}
