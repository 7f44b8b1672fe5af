package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// deletedFor makes what was deleted older by d.
func (b *bundle) deletedFor(d time.Duration) {
	b.t.Helper()
	b.exec(`UPDATE riverhook.subscription SET deleted_at = deleted_at - $1::bigint * interval '1 ms'`, d.Milliseconds())
}

// A deleted subscription stays while a delivery or a decision of it is there, and for
// its age.
func TestPrune_DeletedSubscriptionsGoInTime(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.keeping(delivery.HistoryRules{MaxAge: 48 * time.Hour, DedupeWindow: time.Hour})
	r := b.receiver(nil)
	told := b.subscribe(r, nil)
	denied := b.subscribe(r, func(spec *subscription.Spec) { spec.Filter = "false" })
	silent := b.subscribe(r, func(spec *subscription.Spec) { spec.Events = []string{"office.closed"} })
	living := b.subscribe(r, func(spec *subscription.Spec) { spec.Events = []string{"office.closed"} })
	id := b.enqueue(func(in *outbox.Intent) { in.ID = "told" })
	b.drain(engine)
	for _, sub := range []subscription.Subscription{told, denied, silent} {
		require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	}
	b.deletedFor(47 * time.Hour)
	require.Zero(t, b.prune(engine))
	b.deletedFor(2 * time.Hour)
	require.Equal(t, delivery.Pruned{Subscriptions: 1}, b.prune(engine))
	require.Equal(t, 0, b.count(`SELECT count(*) FROM riverhook.subscription WHERE id = $1`, silent.ID))
	require.Len(t, b.deliveries(id), 1, "the history of the others is there")
	_, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)

	b.age(id, 49*time.Hour)
	require.Equal(t, delivery.Pruned{
		Deliveries:    1,
		Decisions:     1,
		Intents:       1,
		Subscriptions: 2,
	}, b.prune(engine))
	b.subscription(living.ID)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.subscription`))
}

// However short the history is, a subscription stays for a day: an expansion may have
// read it before it was deleted.
func TestPrune_DeletedSubscriptionsStayForADay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.keeping(delivery.HistoryRules{MaxAge: time.Nanosecond})
	sub := b.subscribe(b.receiver(nil), nil)
	require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	b.deletedFor(23 * time.Hour)
	require.Zero(t, b.prune(engine))
	b.deletedFor(2 * time.Hour)
	require.Equal(t, delivery.Pruned{Subscriptions: 1}, b.prune(engine))
}

// Of many that cannot go yet, those behind them go all the same.
func TestPrune_DeletedSubscriptionsWithAHistoryKeepNoOthers(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.keeping(delivery.HistoryRules{})
	sub := b.subscribe(b.receiver(nil), nil)
	b.exec(`INSERT INTO riverhook.subscription (id, site, url, events, owner, dialect, deleted_at)
		SELECT gen_random_uuid(), '/', 'https://e.com/', '{**}', 'owner', 'standard', now() - n * interval '1 hour' - interval '100 days'
		FROM generate_series(1, 600) n`)
	b.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site)
		SELECT gen_random_uuid(), s.id, 'denied', '/' FROM riverhook.subscription s WHERE s.deleted_at < now() - interval '104 days'`)
	require.Equal(t, delivery.Pruned{Subscriptions: 95}, b.prune(engine))
	b.subscription(sub.ID)
}

// A former path that has ended goes when no intent from before its end is there: until
// then such an intent resolves by it.
func TestPrune_EndedAliasesGoInTime(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/acme", "/acme/eu")
	engine := b.keeping(delivery.HistoryRules{MaxAge: 48 * time.Hour, DedupeWindow: 48 * time.Hour})
	told := b.audience("/acme")
	id := b.enqueue(func(in *outbox.Intent) { in.ID, in.Site = "before", "/acme/eu" })
	_, err := sites.Rename(t.Context(), "/acme", "acme2")
	require.NoError(t, err)
	_, err = sites.Create(t.Context(), "/acme")
	require.NoError(t, err)
	aliases := func() int { return b.count(`SELECT count(*) FROM riverhook.site_alias WHERE ended_at IS NOT NULL`) }
	older := func(d time.Duration) {
		b.exec(`UPDATE riverhook.site_alias SET ended_at = ended_at - $1::bigint * interval '1 ms'`, d.Milliseconds())
	}
	require.Equal(t, 2, aliases())
	require.Zero(t, b.prune(engine))
	older(100 * time.Hour)
	b.age(id, 101*time.Hour)
	require.Zero(t, b.prune(engine), "an intent from before the end is pending")
	b.drain(engine)
	require.Equal(t, []hierarchy.Path{"/acme"}, told(id), "the subscription moved along")
	require.Zero(t, b.prune(engine), "its delivery is new")
	require.Equal(t, 2, aliases())

	b.age(id, 99*time.Hour)
	b.enqueue(func(in *outbox.Intent) { in.ID, in.Site = "after", "/acme" })
	require.Equal(t, delivery.Pruned{
		Deliveries: 1,
		Intents:    1,
		Aliases:    2,
	}, b.prune(engine))
	require.Zero(t, aliases())
	chain, err := sites.Ancestors(t.Context(), "/acme/eu")
	require.NoError(t, err)
	require.Equal(t, []hierarchy.Path{"/acme", "/"}, chain, "as before")
}
