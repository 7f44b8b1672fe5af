package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// between calls a function before each round trip to the database, with the SQL of
// what is sent.
type between struct {
	mu   sync.Mutex
	call func(sql string)
}

func (h *between) set(call func(sql string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.call = call
}

func (h *between) before(sql string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.call != nil {
		h.call(sql)
	}
}

func (h *between) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	h.before(data.SQL)
	return ctx
}

func (h *between) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (h *between) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	var sql strings.Builder
	for _, q := range data.Batch.QueuedQueries {
		sql.WriteString(q.SQL + "\n")
	}
	h.before(sql.String())
	return ctx
}

func (h *between) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (h *between) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// isCommit says of a statement that it commits an expansion, or a question.
func isCommit(sql string) bool { return strings.Contains(sql, "name: CommitExpansions") }

// traced is a bundle whose engines call h before each round trip. Its own statements
// go through another pool.
func (b *bundle) traced(h *between) *bundle {
	b.t.Helper()
	cfg := b.pool.Config().Copy()
	cfg.ConnConfig.Tracer = h
	pool, err := pgxpool.NewWithConfig(b.t.Context(), cfg)
	require.NoError(b.t, err)
	b.t.Cleanup(pool.Close)
	traced := *b
	traced.pool = pool
	return &traced
}

// grove is a small tree with a subscription at each site, in which an event happens at
// one while others, or it, move.
type grove struct {
	*bundle

	sites *hierarchy.Sites
	ids   []uuid.UUID // of the sites; the event is at the last
	subs  map[uuid.UUID]uuid.UUID
	fresh int
}

func newGrove(b *bundle, sites *hierarchy.Sites, top hierarchy.Path, subscribe func(at hierarchy.Path) uuid.UUID) *grove {
	b.t.Helper()
	g := &grove{
		bundle: b,
		sites:  sites,
		subs:   map[uuid.UUID]uuid.UUID{},
	}
	for _, p := range []hierarchy.Path{top, top + "/a", top + "/b", top + "/c", top + "/a/s"} {
		site, err := sites.Create(b.t.Context(), p)
		require.NoError(b.t, err)
		g.ids = append(g.ids, site.ID)
	}
	// Subscriptions are made in an order that is not that of the sites.
	for _, i := range []int{4, 2, 0, 3, 1, 4, 1, 2} {
		g.subs[subscribe(g.path(i))] = g.ids[i]
	}
	return g
}

func (g *grove) path(i int) hierarchy.Path {
	var path hierarchy.Path
	err := g.pool.QueryRow(g.t.Context(), `SELECT path FROM riverhook.site WHERE id = $1`, g.ids[i]).Scan(&path)
	if !errors.Is(err, pgx.ErrNoRows) {
		require.NoError(g.t, err)
	}
	return path
}

// above are the subscriptions at the event's site and above it, as they are now.
func (g *grove) above() []uuid.UUID {
	rows, err := g.pool.Query(g.t.Context(), `
		WITH RECURSIVE up AS (
			SELECT id, parent_id FROM riverhook.site WHERE id = $1
			UNION ALL SELECT s.id, s.parent_id FROM riverhook.site s JOIN up ON s.id = up.parent_id)
		SELECT id FROM up`, g.ids[len(g.ids)-1])
	require.NoError(g.t, err)
	chain, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	require.NoError(g.t, err)
	var subs []uuid.UUID
	for sub, site := range g.subs {
		if slices.Contains(chain, site) {
			subs = append(subs, sub)
		}
	}
	slices.SortFunc(subs, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	return subs
}

// move is one change of the tree, or none; one that cannot be changes nothing.
type move struct {
	kind string
	i, j int
}

func genMove() *rapid.Generator[move] {
	return rapid.Custom(func(t *rapid.T) move {
		return move{
			rapid.SampledFrom([]string{"stay", "leaf", "leaf", "rename", "swap", "below", "delete"}).Draw(t, "kind"),
			rapid.IntRange(1, 3).Draw(t, "i"), rapid.IntRange(1, 3).Draw(t, "j"),
		}
	})
}

func (g *grove) do(m move) {
	ctx := g.t.Context()
	if m.kind == "stay" {
		return
	}
	rename := func(i int, segment string) { _, _ = g.sites.Rename(ctx, g.path(i), segment) }
	name := func(i int) string { p := string(g.path(i)); return p[strings.LastIndex(p, "/")+1:] }
	g.fresh++
	fresh := fmt.Sprintf("n%d", g.fresh)
	switch m.kind {
	case "leaf":
		_, _ = g.sites.Move(ctx, g.path(len(g.ids)-1), g.path(m.j))
	case "rename":
		rename(m.i, fresh)
	case "swap":
		a, b := name(m.i), name(m.j)
		rename(m.i, fresh)
		rename(m.j, a)
		rename(m.i, b)
	case "below":
		_, _ = g.sites.Move(ctx, g.path(m.i), g.path(m.j))
	case "delete":
		_ = g.sites.Delete(ctx, g.path(m.i), nil)
	}
}

// Whatever moves between two round trips: those who are at the event's site or above
// it when the last part of the expansion is committed are told, once each, and nobody
// who was not there when any part was.
func TestExpand_SitesMoveBetweenAllStatements(t *testing.T) {
	t.Parallel()
	b, sites := tree(t)
	hook := &between{}
	traced := b.traced(hook)
	r := b.receiver(nil)
	subscribe := func(at hierarchy.Path) uuid.UUID {
		return b.subscribe(r, func(spec *subscription.Spec) { spec.Site = at }).ID
	}
	engines := map[int]*delivery.Engine{}
	for _, chunk := range []int{1, 2, 500} {
		engines[chunk] = traced.engine(func(cfg *delivery.Config) { cfg.Limits.ChunkSize = chunk })
	}
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		g := newGrove(b, sites, hierarchy.Path(fmt.Sprintf("/t%d", round)), subscribe)
		chunk := rapid.SampledFrom([]int{1, 2, 500}).Draw(t, "chunk")
		moves := rapid.SliceOfN(genMove(), 0, 10).Draw(t, "moves")
		id := b.enqueue(func(in *outbox.Intent) { in.Site = g.path(4) })
		var last, ever []uuid.UUID
		begun := false
		hook.set(func(sql string) {
			begun = begun || strings.Contains(sql, "name: LoadIntents")
			if begun && len(moves) > 0 {
				g.do(moves[0])
				moves = moves[1:]
			}
			if isCommit(sql) {
				last = g.above()
				ever = append(ever, last...)
			}
		})
		defer hook.set(nil)
		b.drain(engines[chunk])

		told := []uuid.UUID{}
		for _, d := range b.deliveries(id) {
			told = append(told, d.Subscription)
		}
		require.Subset(t, told, last, "forgotten")
		require.Subset(t, ever, told, "never there")
		require.Len(t, received(r, id), len(told), "not once each")
		require.Empty(t, b.decisions(id))
		require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.intent i JOIN riverhook.intent_state s ON s.intent_id = i.id
			WHERE i.wire_id = $1 AND s.state = 'expanded'`, id))
		if chunk == 500 {
			require.Equal(t, last, told)
		}
	})
}

// A gate that a move brings above the question's site is asked, as long as the answers
// are not recorded.
func TestAsk_SitesMoveBetweenAllStatements(t *testing.T) {
	t.Parallel()
	b, sites := tree(t)
	hook := &between{}
	r := b.receiver(nil)
	engine := b.traced(hook).engine(nil)
	subscribe := func(at hierarchy.Path) uuid.UUID {
		return b.gate(r, func(spec *subscription.Spec) { spec.Site, spec.FailClosed = at, true })
	}
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		g := newGrove(b, sites, hierarchy.Path(fmt.Sprintf("/t%d", round)), subscribe)
		moves := rapid.SliceOfN(genMove(), 0, 8).Draw(t, "moves")
		pause := rapid.IntRange(1, 4).Draw(t, "pause") // the first asks which tree the question is about
		var last []uuid.UUID
		trips := 0
		q := mayDelete()
		q.Site = g.path(4)
		hook.set(func(sql string) {
			trips++
			if trips > pause && len(moves) > 0 {
				g.do(moves[0])
				moves = moves[1:]
			}
			if isCommit(sql) {
				last = g.above()
			}
		})
		defer hook.set(nil)
		answer, err := engine.Ask(b.t.Context(), q)

		require.NoError(t, err)
		require.NoError(t, answer.Unrecorded)
		var asked []uuid.UUID
		for _, gate := range answer.Gates {
			require.Equal(t, delivery.GateAgreed, gate.Outcome, gate.Reason)
			require.NotContains(t, asked, gate.SubscriptionID)
			asked = append(asked, gate.SubscriptionID)
		}
		require.Subset(t, asked, last, "not asked")
		require.Len(t, b.deliveries(answer.ID), len(asked))
		require.Len(t, received(r, answer.ID), len(asked))
	})
}

// A gate that comes to be above the site when the time to answer is over has not
// answered: where it fails closed, nothing is done.
func TestAsk_GateThatIsFoundTooLateHasNotAnswered(t *testing.T) {
	t.Parallel()
	b, sites := tree(t, "/a", "/a/s", "/b")
	hook := &between{}
	engine := b.traced(hook).engine(nil)
	hangs := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Hang: true}
	}})
	b.gate(hangs, func(spec *subscription.Spec) { spec.Site = "/a" })
	late := b.gate(b.receiver(nil), func(spec *subscription.Spec) { spec.Site, spec.FailClosed = "/b", true })
	moved := false
	hook.set(func(sql string) {
		if isCommit(sql) && !moved {
			moved = true
			_, err := sites.Move(t.Context(), "/a/s", "/b")
			require.NoError(t, err)
		}
	})
	q := mayDelete()
	q.Site, q.Timeout = "/a/s", time.Second
	answer, err := engine.Ask(t.Context(), q)

	unanswered := (*delivery.UnansweredError)(nil)
	require.ErrorAs(t, err, &unanswered)
	require.NoError(t, answer.Unrecorded)
	require.Equal(t, late, answer.Gates[1].SubscriptionID)
	require.Equal(t, delivery.GateUnanswered, answer.Gates[1].Outcome)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.decision WHERE subscription_id = $1`, late))
}
