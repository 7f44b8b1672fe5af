package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

const (
	loudEvents = 5_000

	// turnWorkers is how many jobs an engine of these tests fetches first in, first out.
	turnWorkers = 200
)

// tenants are a loud tenant with a backlog, and quiet ones, each with a fast endpoint of its own.
type tenants struct {
	*bundle

	mu   sync.Mutex
	seen map[string]int // requests by intent
}

func newTenants(t *testing.T, sites ...hierarchy.Path) *tenants {
	t.Helper()
	b := &tenants{bundle: newBundle(t), seen: map[string]int{}}
	t.Cleanup(b.tell)
	for _, site := range sites {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.mu.Lock()
			b.seen[r.Header.Get("Webhook-Id")]++
			b.mu.Unlock()
			w.WriteHeader(http.StatusNoContent)
		}))
		t.Cleanup(server.Close)
		_, err := b.subs.Create(t.Context(), subscription.Spec{
			URL:    server.URL,
			Events: []string{"**"},
			Owner:  "owner",
			Site:   site,
		})
		require.NoError(t, err)
	}
	return b
}

// tell says of a test that failed where its deliveries are.
func (b *tenants) tell() {
	if !b.t.Failed() {
		return
	}
	var where string
	err := b.pool.QueryRow(context.Background(), `SELECT string_agg(format('%s %s %s %s: %s', state, hold, last_outcome, reason, n), ', ')
		FROM (SELECT d.state, d.hold, d.last_outcome, d.reason, count(*) AS n FROM riverhook.delivery d GROUP BY 1, 2, 3, 4) x`).Scan(&where)
	b.t.Log(where, err)
}

// commit commits events of a tenant.
func (b *tenants) commit(tenant, share string, n int) {
	b.t.Helper()
	all := make([]outbox.Intent, n)
	for i := range all {
		all[i] = outbox.Intent{
			ID:       fmt.Sprintf("%s-%s-%d", tenant, share, i),
			Type:     "user.created",
			Site:     hierarchy.Path("/" + tenant),
			Share:    share,
			Resource: access.Resource{Kind: "user", ID: "ada"},
			Data:     map[string]int{"n": i},
		}
	}
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.outbox.EnqueueMany(b.t.Context(), tx, all)
		return err
	}))
}

func (b *tenants) startEngines(n int) {
	b.t.Helper()
	for i := range n {
		b.start(b.engine(func(cfg *delivery.Config) {
			cfg.ID = fmt.Sprint("engine ", i)
			cfg.Limits.Workers = turnWorkers
		}))
	}
}

// before is how many events of the loud tenant were expanded before the last event of another one.
func (b *tenants) before(tenant string) int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id
		WHERE i.site = '/loud' AND s.ended_at < (SELECT max(q.ended_at) FROM riverhook.intent_state q
			JOIN riverhook.intent o ON o.id = q.intent_id WHERE o.site = $1)`, "/"+tenant)
}

func (b *tenants) delivered(site string) int {
	b.t.Helper()
	return b.count(`SELECT count(*) FROM riverhook.delivery d JOIN riverhook.intent i ON i.id = d.intent_id
		WHERE d.state = 'delivered' AND i.site = $1`, site)
}

// requireAll waits until all that was committed is delivered, once each.
func (b *tenants) requireAll(events int) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == events
	}, 5*time.Minute, 100*time.Millisecond) // a busy machine
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Len(b.t, b.seen, events)
	for id, n := range b.seen {
		require.Equal(b.t, 1, n, id)
	}
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state <> 'completed'`) == 0
	})
}

// The backlog is there before anybody works, and so are the events of the quiet tenants after it;
// others come while it is worked off. First in, first out all of the loud tenant's would be before
// the first ones.
func TestTurns_ABacklogOfOneShareDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	for _, engines := range []int{1, 3} {
		t.Run(fmt.Sprint(engines, " engines"), func(t *testing.T) {
			t.Parallel()
			b := newTenants(t, "/loud", "/early", "/late")
			b.commit("loud", "", loudEvents)
			b.commit("early", "", 5)
			b.commit("loud", "named", 5) // a share that the application names

			b.startEngines(engines)

			b.eventually(func() bool { return b.delivered("/early") == 5 })
			already := b.delivered("/loud")
			b.commit("late", "", 5)
			b.eventually(func() bool { return b.delivered("/late") == 5 })
			b.requireAll(loudEvents + 15)
			bound := engines*turnWorkers + loudEvents/4
			require.Less(t, b.before("early"), bound)
			require.Less(t, b.before("late"), already+bound)
			named := b.count(`SELECT count(*) FROM riverhook.intent_state s JOIN riverhook.intent i ON i.id = s.intent_id
				WHERE i.share = 'loud' AND s.ended_at < (SELECT max(q.ended_at) FROM riverhook.intent_state q
					JOIN riverhook.intent o ON o.id = q.intent_id WHERE o.share = 'named')`)
			require.Less(t, named, bound)
		})
	}
}

// Its claim was committed, and nothing else happened.
func TestTurns_WhatADeadEngineTookIsHandedOn(t *testing.T) {
	t.Parallel()
	b := newTenants(t, "/acme")
	b.commit("acme", "", 3)
	b.exec(`INSERT INTO riverhook.engine (process, id, heartbeat_at) VALUES ('dead', 'dead', now() - interval '1 minute')`)
	b.exec(`UPDATE riverhook.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{dead}'`)

	b.startEngines(1)

	b.requireAll(3)
}

// An engine has one worker and one job that a turn took, both with a request under way, when it is
// killed.
func TestTurns_AnEngineThatIsKilledLosesNothingOfWhatItTook(t *testing.T) {
	t.Parallel()
	const events = 6
	b := newBundle(t)
	release := make(chan struct{})
	var (
		mu   sync.Mutex
		seen = map[string]int{}
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Header.Get("Webhook-Id")]++
		mu.Unlock()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	_, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:      server.URL,
		Events:   []string{"**"},
		Operator: true,
	})
	require.NoError(t, err)
	for i := range events {
		b.enqueue(func(in *outbox.Intent) { in.Share = fmt.Sprint("tenant", i%2) })
	}
	task := childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "first",
		Workers:  1,
	}
	first := startChild(t, task)
	b.eventually(func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == 2
	})
	require.Equal(t, 2, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`))

	first.kill(t)
	close(release)
	b.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE id = 'first'`)
	task.EngineID = "second"
	startChild(t, task).awaitStart(t)

	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`) == events &&
			b.count(`SELECT count(*) FROM riverhook.river_job WHERE state <> 'completed'`) == 0
	})
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, seen, events)
	again := 0
	for _, n := range seen {
		require.LessOrEqual(t, n, 2)
		again += n - 1
	}
	require.Equal(t, 2, again, "what was under way")
}

// Stop while jobs that were taken by turns are under way: they are available afterwards, and the
// successor does them.
func TestTurns_StopHandsOnWhatItTook(t *testing.T) {
	t.Parallel()
	b := newTenants(t, "/loud", "/quiet")
	b.commit("loud", "", 1_000)
	for i := range 20 {
		b.commit("quiet", fmt.Sprint("quiet", i), 10)
	}
	engine := b.engine(func(cfg *delivery.Config) { cfg.Limits.Workers = turnWorkers })
	require.NoError(t, engine.Start(t.Context()))
	b.eventually(func() bool { return b.delivered("/quiet") > 0 })

	require.NoError(t, engine.Stop(t.Context()))

	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE state = 'running'`))
	b.startEngines(1)
	b.requireAll(1_200)
}

// Chunks, decisions that wait, retries and redeliveries take the turns of their event.
func TestTurns_EachJobOfAnEventHasItsShare(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Limits.ChunkSize = 1
	b.cfg.Maintenance.ReevaluateAfter = time.Hour
	var checks atomic.Int32
	engine := b.guardedBy(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		if r.Principal == "unknown" && checks.Add(1) == 1 {
			return errors.New("not now")
		}
		return nil
	}))
	down := b.always(deliverytest.Answer{Status: http.StatusInternalServerError})
	b.subscribe(down, patient)
	b.subscribe(down, func(spec *subscription.Spec) { spec.Owner = "unknown" })
	id := b.enqueue(func(in *outbox.Intent) { in.Share = "acme" })

	b.drain(engine)
	b.pass(2 * time.Hour) // what is held for the checker is tried again
	b.drain(engine)

	kinds := b.text(`SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM riverhook.river_job WHERE tags = '{share_acme}'`)
	require.Equal(t, "riverhook_chunk riverhook_decide riverhook_deliver riverhook_expand", kinds)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.river_job WHERE tags <> '{share_acme}'`))
	require.NotEmpty(t, b.deliveries(id))
	require.Positive(t, checks.Load())
	explained, err := engine.Explain(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "acme", explained.Intent.Share)
	require.Contains(t, explained.String(), "at /noaa/nws/oun, share acme: expanded\n")
	ofSite := b.enqueue(nil)
	explained, err = engine.Explain(t.Context(), ofSite)
	require.NoError(t, err)
	require.Equal(t, "noaa", explained.Intent.Share)
	require.Contains(t, explained.String(), "at /noaa/nws/oun: pending\n")
}
