package delivery_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// here is the place that a checker is asked about.
type here struct {
	site, recorded, active hierarchy.Path
	channel                string
}

func placesOf(requests []access.Request) []here {
	places := make([]here, len(requests))
	for i, r := range requests {
		places[i] = here{r.Site, r.RecordedSite, r.ActiveSite, r.Channel}
	}
	return places
}

func atNWS(in *outbox.Intent) {
	in.Site = "/noaa/nws/oun"
	in.ActiveSite = "/ops/desk"
	in.Channel = "radar"
}

// Each question about access has the place as the sites are then: at the expansion, at
// a decision that waited and at a later attempt.
func TestAccess_SiteIsThePlaceOfNow(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/noaa/nws/oun", "/ops", "/ops/desk", "/usgs", "/later")
	down := errors.New("the directory is down")
	record := accesstest.Record(accesstest.NewScript(down, nil, nil))
	b.cfg.Access.Registry = b.checkers(record)
	engine := b.engine(nil)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "hourly" })
	move := func(p, parent hierarchy.Path) {
		_, err := sites.Move(t.Context(), p, parent)
		require.NoError(t, err)
	}

	b.enqueue(atNWS)
	move("/noaa/nws", "/usgs")
	b.drain(engine) // at the expansion; it waits
	move("/ops/desk", "/usgs")
	b.pass(time.Hour)
	b.drain(engine) // the decision; the first attempt fails
	require.Len(t, r.Requests(), 1)
	move("/usgs/nws/oun", "/later")
	b.pass(2 * time.Hour)
	b.drain(engine) // the second attempt
	require.Len(t, r.Requests(), 2)

	require.Equal(t, []here{
		{"/usgs/nws/oun", "/noaa/nws/oun", "/ops/desk", "radar"},
		{"/usgs/nws/oun", "/noaa/nws/oun", "/usgs/desk", "radar"},
		{"/later/oun", "/noaa/nws/oun", "/usgs/desk", "radar"},
	}, placesOf(record.Requests()))
}

func TestAccess_SiteOfAQuestionIsThePlaceOfNow(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/usgs")
	record := accesstest.Record(accesstest.Allow())
	b.cfg.Access.Registry = b.checkers(record)
	r := b.always(deliverytest.Answer{Status: 204})
	b.subscribe(r, func(spec *subscription.Spec) { spec.Events = []string{"before:**"} })
	_, err := sites.Move(t.Context(), "/noaa/nws", "/usgs")
	require.NoError(t, err)
	_, err = b.engine(nil).Ask(t.Context(), delivery.Question{
		Type:    "user.delete",
		Site:    "/noaa/nws/desk",
		Channel: "radar",
	})
	require.NoError(t, err)
	require.Equal(t, []here{{"/usgs/nws", "/noaa/nws/desk", "", "radar"}}, placesOf(record.Requests()))
}

// By the path arithmetic of docs/access.md: who has a role over the new place may see
// what happened before the move, and who has one over the old place alone may not.
func TestAccess_PathArithmeticHoldsAfterAMove(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/noaa", "/noaa/nws", "/usgs")
	roles := map[string]hierarchy.Path{"new": "/usgs", "old": "/noaa"}
	b.cfg.Access.Registry = b.checkers(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		if !roles[r.Principal].Contains(r.Site) {
			return access.ErrDenied
		}
		return nil
	}))
	newOwner, _ := b.subscribeAs("new")
	oldOwner, _ := b.subscribeAs("old")
	b.enqueue(func(in *outbox.Intent) { in.Site = "/noaa/nws" })
	_, err := sites.Move(t.Context(), "/noaa/nws", "/usgs")
	require.NoError(t, err)
	b.drain(b.engine(nil))
	require.Len(t, newOwner.Requests(), 1)
	require.Empty(t, oldOwner.Requests())
}

// A tree of the application that does not answer later costs a delivery no attempt, and
// a decision nothing.
func TestAccess_WhileTheTreeFailsNothingIsDecided(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	fails := false
	b.cfg.Tree = treeFunc(func(_ context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
		if fails {
			return nil, errors.New("the tree is down")
		}
		return p.Ancestors(), nil
	})
	b.cfg.Access.Registry = b.checkers(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		if r.Permission == "audit" && !fails {
			fails = true // and the decision waits
			return errors.New("the directory is down")
		}
		return nil
	}))
	engine := b.engine(nil)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	failing := b.subscribe(r, func(spec *subscription.Spec) { spec.Schedule = "hourly" }).ID
	waiting := b.subscribe(r, func(spec *subscription.Spec) { spec.Permission, spec.Schedule = "audit", "hourly" }).ID
	id := b.enqueue(nil)
	b.drain(engine)
	require.Len(t, r.Requests(), 1)
	b.pass(2 * time.Hour)
	b.drain(engine)
	require.Len(t, r.Requests(), 1)
	require.Equal(t, "pending", b.delivery(id, failing).State)
	require.Equal(t, 1, b.delivery(id, failing).Attempts)
	require.Equal(t, "waiting", b.decisions(id)[waiting][0])
	require.Contains(t, b.decisions(id)[waiting][1], "the site of the resource is not known now")
	fails = false
	b.cfg.Access.Registry = b.checkers(accesstest.Allow())
	b.pass(2 * time.Hour)
	b.drain(b.engine(nil))
	require.Len(t, r.Requests(), 3)
	require.Equal(t, "delivered", b.delivery(id, failing).State)
	require.Equal(t, "delivered", b.delivery(id, waiting).State)
}
