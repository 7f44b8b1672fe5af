package delivery_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// blocked is a receiver that answers nothing, well, before release is called, which the
// end of the test does too.
func (b *bundle) blocked() (r *deliverytest.Receiver, release func()) {
	b.t.Helper()
	open := make(chan struct{})
	release = sync.OnceFunc(func() { close(open) })
	r = b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		<-open
		return deliverytest.Answer{}
	}})
	b.t.Cleanup(release) // before the receiver waits for its answers
	return r, release
}

// tenantAt subscribes to all events at a site, of an owner of its own.
func tenantAt(site hierarchy.Path) func(spec *subscription.Spec) {
	return func(spec *subscription.Spec) { spec.Site, spec.Owner = site, "owner-of-"+string(site[1:]) }
}

// enqueueAt commits n intents of a tenant.
func (b *bundle) enqueueAt(site hierarchy.Path, n int) {
	b.t.Helper()
	for range n {
		b.enqueue(func(in *outbox.Intent) { in.Site = site })
	}
}

// scarce leaves one share alone 56 of 64 slots, and each queue 125 workers.
func scarce(cfg *delivery.Config) {
	cfg.Limits.InFlight, cfg.Limits.Workers = 64, 125
	cfg.Limits.MaxInFlightPerEndpoint = 1000
	cfg.Timeouts.Request = time.Minute
}

const scarceAlone = 56

// One subscription has more events than there are workers, as many requests at a time as it
// likes, and an endpoint that takes its time.
func TestShares_ASubscriptionWithSlowAnswersDelaysNoOtherTenant(t *testing.T) {
	t.Parallel()
	const events = 250
	b := newBundle(t)
	slow, release := b.blocked()
	engine := b.engine(scarce)
	b.subs = engine.Subscriptions()
	b.subscribe(slow, func(spec *subscription.Spec) {
		tenantAt("/loud")(spec)
		spec.MaxInFlight = 1000
	})
	fast := b.receiver(nil)
	b.subscribe(fast, tenantAt("/quiet"))
	b.start(engine)
	b.enqueueAt("/loud", events)
	b.wait(slow, scarceAlone)

	for n := range 3 {
		b.enqueueAt("/quiet", 1)
		b.wait(fast, n+1)
	}

	require.Len(t, slow.Requests(), scarceAlone, "one tenant has all the slots but the reserve, and nothing is answered")
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots' AND job_id IS NULL`) == events-scarceAlone
	})
	require.Len(t, slow.Requests(), scarceAlone)

	release()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == events+3
	})
	require.LessOrEqual(t, b.count(`SELECT sum(attempt_seq) FROM riverhook.delivery`), 6*events,
		"what is released finds room, most of the time")
}

func TestShares_AnOwnerWithManySubscriptionsDelaysNoOtherTenant(t *testing.T) {
	t.Parallel()
	const (
		subscriptions = 100
		events        = 5
	)
	b := newBundle(t)
	slow, release := b.blocked()
	for range subscriptions {
		b.subscribe(slow, tenantAt("/loud"))
	}
	fast := b.receiver(nil)
	b.subscribe(fast, tenantAt("/quiet"))
	b.start(b.engine(scarce))
	b.enqueueAt("/loud", events)
	b.wait(slow, scarceAlone)

	for n := range 3 {
		b.enqueueAt("/quiet", 1)
		b.wait(fast, n+1)
	}

	require.Len(t, slow.Requests(), scarceAlone)
	release()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == subscriptions*events+3
	})
}

// The application asks gates of other tenants, and those of the loud one, and gets answers.
func TestShares_GatesAreAskedWhileATenantHasAllThatItCanGet(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow, release := b.blocked()
	for range 4 {
		b.subscribe(slow, tenantAt("/loud"))
	}
	gates := b.receiver(nil)
	for _, site := range []hierarchy.Path{"/loud", "/quiet"} {
		b.gate(gates, func(spec *subscription.Spec) {
			tenantAt(site)(spec)
			spec.FailClosed = true
		})
	}
	engine := b.start(b.engine(scarce))
	defer release()
	b.enqueueAt("/loud", 50)
	b.wait(slow, scarceAlone)

	for _, site := range []hierarchy.Path{"/loud", "/quiet"} {
		q := mayDelete()
		q.Site = site
		answer, err := engine.Ask(t.Context(), q)
		require.NoError(t, err, site)
		require.Equal(t, []string{"agreed"}, said(answer.Gates), site)
	}
	_, _, err := engine.Ping(t.Context(), b.subscribe(gates, tenantAt("/loud")).ID, nil)
	require.NoError(t, err, "pings as well")
	require.Len(t, slow.Requests(), scarceAlone)
}

// Events of many sites and owners are one share if the application says so, and what it
// cannot say is the default.
func TestShares_AreWhatTheApplicationSays(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var (
		logged log
		mu     sync.Mutex
		asked  = map[delivery.Recipient]hierarchy.Path{} // with the site each was asked with last
	)
	slow, release := b.blocked()
	sites := []hierarchy.Path{"/one", "/two", "/three", "/four"}
	for _, site := range sites {
		b.subscribe(slow, tenantAt(site))
	}
	panics := b.receiver(nil)
	sub := b.subscribe(panics, tenantAt("/panics"))
	nameless := b.receiver(nil)
	b.subscribe(nameless, tenantAt("/nameless"))
	b.start(b.engine(func(cfg *delivery.Config) {
		scarce(cfg)
		cfg.Logger = logged.logger()
		cfg.Limits.ShareOf = func(to delivery.Recipient, site hierarchy.Path) string {
			mu.Lock()
			defer mu.Unlock()
			asked[to] = site
			switch to.Site {
			case "/panics":
				panic("no share")
			case "/nameless":
				return ""
			default:
				return "one tenant"
			}
		}
	}))
	for _, site := range sites {
		b.enqueueAt(site, 25)
	}
	b.wait(slow, scarceAlone)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots'`) == 100-scarceAlone
	})
	require.Len(t, slow.Requests(), scarceAlone, "four sites are one share")

	for n := range 2 {
		b.enqueueAt("/panics/below", 1)
		b.enqueueAt("/nameless", 1)
		b.wait(panics, n+1)
		b.wait(nameless, n+1)
	}
	release()
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, hierarchy.Path("/panics"), asked[delivery.Recipient{
		SubscriptionID: sub.ID,
		Site:           "/panics",
		Owner:          "owner-of-panics",
	}])
	require.Equal(t, 1, strings.Count(logged.String(), "Limits.ShareOf panics"))
}

// What is held of many endpoints of one share is released by turns, whoever has the most.
func TestShares_EndpointsOfAShareTakeTurns(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	slow, release := b.blocked()
	engine := b.engine(scarce)
	b.subs = engine.Subscriptions()
	b.subscribe(slow, func(spec *subscription.Spec) {
		tenantAt("/loud")(spec)
		spec.Events, spec.MaxInFlight = []string{"many.events"}, 1000
	})
	other := b.receiver(nil)
	sub := b.subscribe(other, func(spec *subscription.Spec) {
		tenantAt("/loud")(spec)
		spec.Events = []string{"one.event"}
	})
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, engine.Stop(context.Background())) })
	for range 150 {
		b.enqueue(func(in *outbox.Intent) { in.Site, in.Type = "/loud", "many.events" })
	}
	b.wait(slow, scarceAlone)
	b.enqueue(func(in *outbox.Intent) { in.Site, in.Type = "/loud", "one.event" })
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND hold = 'slots'`, sub.ID) == 1
	})

	release()
	b.wait(other, 1)
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == 151
	})
}
