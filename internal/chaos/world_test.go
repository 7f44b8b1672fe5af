package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// The owners of subscriptions. Those with a number can be removed.
const (
	deniedOwner  = "denied"
	steadyOwner  = "steady"
	owners       = 4
	externalized = "cloudevents" // the dialect with an externalizer
)

// eventTypes are what producers write, and patterns what subscriptions want of it.
var (
	eventTypes = []string{"person.created", "person.updated", "order.paid"}
	patterns   = []string{"**", "person.*", "order.paid", "*.*", "person.updated"}
)

// world is a database with all that is in it, and what is known of it from outside.
type world struct {
	t        *testing.T
	url      string
	pool     *pgxpool.Pool // of the operators
	outbox   *outbox.Client
	sites    *hierarchy.Sites
	console  *delivery.Engine // does not run; operators work with it
	subs     *subscription.Store
	receiver *receiver
	hostCode bool // of engines that are started fails
	sameID   bool // an engine can have the name of one that was killed

	numbers   atomic.Int64
	producing chan struct{} // closed to end the producers
	producers sync.WaitGroup

	mu        sync.Mutex
	engines   []*running
	root      *node
	nodes     []*node // but the root
	listeners []*sub
	resources []*resource
	former    []hierarchy.Path // of tenants
	erased    map[string]bool  // the markers of resources
	did       map[string]int   // the deeds of operators
	rolled    map[string]bool  // events of transactions that were rolled back
	vetoes    map[string]bool  // what Ask has said about each question

	largestEngine int // the most bytes that one has had resident

	siteDeeds sync.Mutex // one at a time
}

// node is a site. Departments change their tenant; nothing else changes its parent.
type node struct {
	id    uuid.UUID
	depth int // 0: the root, 1: a tenant, 2: a department, 3: an office
	spans []span
}

// span is the time that a node has a parent: from somewhere in the first pair of times
// to somewhere in the second.
type span struct {
	parent     *node
	begin, end moment
}

// moment is the time of a commit, which lies between two times.
type moment struct{ least, most time.Time }

var (
	always = moment{time.Time{}, time.Time{}}
	never  = moment{time.Unix(1<<40, 0), time.Unix(1<<40, 0)}
)

func (n *node) parent() *node { return n.spans[len(n.spans)-1].parent }

// under says whether the node was at or below another one all the time from least to
// most, and whether it was so ever in that time.
func (n *node) under(above *node, least, most time.Time) (all, ever bool) {
	if n == above || above.depth == 0 {
		return true, true
	}
	for _, s := range n.spans {
		parentAll, parentEver := false, false
		if s.parent != nil {
			parentAll, parentEver = s.parent.under(above, least, most)
		}
		all = all || parentAll && !s.begin.most.After(least) && !s.end.least.Before(most)
		ever = ever || parentEver && !s.begin.least.After(most) && !s.end.most.Before(least)
	}
	return all, ever
}

// sub is a subscription.
type sub struct {
	id      uuid.UUID
	key     string
	site    *node
	pattern string
	owner   string
	version int // of its URL
	touches []touch
}

// touch is a change of a subscription, and the state that it left.
type touch struct {
	at    moment
	state string // "deleted" is one
	url   string // its endpoint
}

func (s *sub) last() touch { return s.touches[len(s.touches)-1] }

// resource is what events are about. Whoever writes about it holds it, so that none is
// written after its erasure.
type resource struct {
	id   string
	held sync.RWMutex
	gone bool
}

// marker is in the data of every event about the resource.
func (r *resource) marker() string { return "pii-" + r.id + "-" }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t:         t,
		url:       pgtest.Database(t),
		receiver:  newReceiver(),
		producing: make(chan struct{}),
		root:      &node{spans: []span{{begin: always, end: never}}},
		erased:    map[string]bool{},
		did:       map[string]int{},
		rolled:    map[string]bool{},
		vetoes:    map[string]bool{},
	}
	t.Cleanup(func() { w.receiver.close(context.WithoutCancel(t.Context())) })
	var err error
	w.pool, err = poolOf(context.WithoutCancel(t.Context()), w.url, operator, 20)
	require.NoError(t, err)
	t.Cleanup(w.pool.Close)
	w.outbox, err = outbox.New(&outbox.Config{MaxDataBytes: 2 * largest})
	require.NoError(t, err)
	w.sites, err = hierarchy.NewSites(w.pool, nil)
	require.NoError(t, err)
	cfg, err := engineConfig(w.pool, "console", &hostCode{}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w.console, err = delivery.New(w.pool, cfg)
	require.NoError(t, err)
	w.subs = w.console.Subscriptions()
	w.keepWhatIsPruned()
	for range 6 {
		w.resources = append(w.resources, w.newResource())
	}
	w.subscribe(w.root, steady, steadyOwner, "**")
	for tenant := range 3 {
		w.newTenant(hierarchy.Path(fmt.Sprintf("/t%d", tenant)), []string{"a", "b"})
	}
	w.operate()
	for range 2 {
		w.gate()
	}
	return w
}

// keepWhatIsPruned has the database keep a copy of each row that is deleted, what
// producers and operators know, and each round of a delivery that ends twice, in a schema
// of the test's own.
func (w *world) keepWhatIsPruned() {
	w.exec(`CREATE SCHEMA app`)
	w.exec(`CREATE TABLE app.ledger (event text PRIMARY KEY, office uuid NOT NULL, type text NOT NULL, at timestamptz NOT NULL)`)
	w.exec(`CREATE TABLE app.cut (number bigint NOT NULL, intent_id uuid NOT NULL, subscription_id uuid)`)
	w.exec(`CREATE FUNCTION app.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			EXECUTE format('INSERT INTO app.%I SELECT ($1).*', TG_TABLE_NAME) USING OLD;
			RETURN NULL;
		END $$`)
	w.exec(`CREATE TABLE app.twice (what text NOT NULL)`)
	w.exec(`CREATE FUNCTION app.ends_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			INSERT INTO app.twice VALUES (format('delivery %s: %s, then %s in round %s', NEW.id, OLD.state, NEW.state, NEW.round));
			RETURN NULL;
		END $$`)
	w.exec(`CREATE TRIGGER ends_once AFTER UPDATE ON riverhook.delivery FOR EACH ROW
		WHEN (OLD.state <> 'pending' AND (NEW.state, NEW.round) <> (OLD.state, OLD.round) AND NEW.round <> OLD.round + 1)
		EXECUTE FUNCTION app.ends_once()`)
	for _, table := range []string{"attempt", "decision", "delivery", "intent", "intent_state"} {
		w.exec(`CREATE TABLE app.` + table + ` (LIKE riverhook.` + table + `)`)
		w.exec(`CREATE TRIGGER keep AFTER DELETE ON riverhook.` + table + ` FOR EACH ROW EXECUTE FUNCTION app.keep()`)
		w.exec(`CREATE VIEW app.all_` + table + ` AS SELECT * FROM riverhook.` + table + ` UNION ALL SELECT * FROM app.` + table)
	}
}

func (w *world) exec(statement string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(context.WithoutCancel(w.t.Context()), statement, args...)
	require.NoError(w.t, err, statement)
}

func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), query, args...).Scan(&n), query)
	return n
}

func (w *world) number() int64 { return w.numbers.Add(1) }

// inTx commits what f does, and returns when that was.
func (w *world) inTx(f func(tx pgx.Tx) error) (moment, error) {
	ctx := context.WithoutCancel(w.t.Context())
	m := moment{least: time.Now()}
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error { return f(tx) })
	m.most = time.Now()
	return m, err
}

// must is inTx for a deed that is done again until it does not meet a deadlock.
func (w *world) must(f func(tx pgx.Tx) error) moment {
	w.t.Helper()
	for {
		at, err := w.inTx(f)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == deadlock {
			continue
		}
		require.NoError(w.t, err)
		return at
	}
}

// pathOf returns where a site is, which stays there until the transaction ends.
func pathOf(ctx context.Context, tx pgx.Tx, n *node) (p hierarchy.Path, err error) {
	err = tx.QueryRow(ctx, `SELECT path FROM riverhook.site WHERE id = $1 FOR KEY SHARE`, n.id).Scan(&p)
	return p, err
}

// newTenant makes a tenant with departments, each of which has two offices, and
// subscriptions that nobody changes at all of them.
func (w *world) newTenant(p hierarchy.Path, departments []string) {
	w.t.Helper()
	create := func(p hierarchy.Path, parent *node) *node {
		n := &node{depth: parent.depth + 1}
		at := w.must(func(tx pgx.Tx) error {
			site, err := w.sites.In(tx).Create(w.t.Context(), p)
			if err == nil {
				n.id = site.ID
			}
			return err
		})
		n.spans = []span{{
			parent: parent,
			begin:  at,
			end:    never,
		}}
		w.subscribe(n, steady, steadyOwner, patterns[int(w.number())%len(patterns)])
		w.mu.Lock()
		defer w.mu.Unlock()
		w.nodes = append(w.nodes, n)
		return n
	}
	tenant := create(p, w.root)
	for _, name := range departments {
		department := create(p+"/"+hierarchy.Path(fmt.Sprintf("%s%d", name, w.number())), tenant)
		page, err := w.sites.List(w.t.Context(), nil)
		require.NoError(w.t, err)
		i := slices.IndexFunc(page.Sites, func(s hierarchy.Site) bool { return s.ID == department.id })
		for office := range 2 {
			create(page.Sites[i].Path+hierarchy.Path(fmt.Sprintf("/o%d", office)), department)
		}
	}
}

// subscribe makes a subscription at a site whose key begins with a text.
func (w *world) subscribe(at *node, prefix, owner, pattern string) *sub {
	w.t.Helper()
	s := &sub{
		key:     fmt.Sprintf("%s%d", prefix, w.number()),
		site:    at,
		pattern: pattern,
		owner:   owner,
	}
	spec := subscription.Spec{
		URL:      w.receiver.url(s.key, 0),
		Events:   []string{pattern},
		Owner:    owner,
		Schedule: chaosSchedule,
	}
	if w.number()%3 == 0 {
		spec.Dialect = externalized
	}
	m := w.must(func(tx pgx.Tx) error {
		var err error
		if spec.Site, err = pathOf(w.t.Context(), tx, at); err != nil {
			return err
		}
		created, err := w.subs.In(tx).Create(w.t.Context(), spec)
		if err == nil {
			s.id = created.Subscription.ID
		}
		return err
	})
	s.touches = []touch{{
		at:    m,
		state: "active",
		url:   endpoint(s.key, 0),
	}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = append(w.listeners, s)
	return s
}

// operate subscribes the operator to what Riverhook says itself.
func (w *world) operate() {
	w.t.Helper()
	_, err := w.subs.Create(w.t.Context(), subscription.Spec{
		URL:      w.receiver.url(steady+"operator", 0),
		Events:   []string{"riverhook.**"},
		Operator: true,
		Schedule: chaosSchedule,
	})
	require.NoError(w.t, err)
}

func (w *world) gate() {
	w.t.Helper()
	_, err := w.subs.Create(w.t.Context(), subscription.Spec{
		URL:    w.receiver.server.URL + "/gate",
		Events: []string{"before:**"},
		Owner:  steadyOwner,
	})
	require.NoError(w.t, err)
}

func (w *world) newResource() *resource { return &resource{id: fmt.Sprintf("r%d", w.number())} }

// isSteady says whether nobody changes a subscription.
func (s *sub) isSteady() bool { return strings.HasPrefix(s.key, steady) }
