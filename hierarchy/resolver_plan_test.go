package hierarchy_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

type tracedStatement struct {
	sql  string
	args []any
}

// batchTracer keeps the statements that a resolver sends.
type batchTracer struct{ statements []tracedStatement }

func (*batchTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (b *batchTracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	b.statements = append(b.statements, tracedStatement{data.SQL, data.Args})
}

func (*batchTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (*batchTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*batchTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type planNode struct {
	Type    string     `json:"Node Type"`
	Table   string     `json:"Relation Name"`
	Index   string     `json:"Index Name"`
	Rows    float64    `json:"Actual Rows"`
	Removed float64    `json:"Rows Removed by Filter"`
	Loops   float64    `json:"Actual Loops"`
	Hit     int        `json:"Shared Hit Blocks"`
	Read    int        `json:"Shared Read Blocks"`
	Plans   []planNode `json:"Plans"`
}

// touched is how many subscriptions a plan looked at, and by which scans.
func (n planNode) touched(scans map[string]bool) (rows float64) {
	return n.touchedOf("subscription", scans)
}

func (n planNode) touchedOf(table string, scans map[string]bool) (rows float64) {
	if n.Table == table {
		scans[n.Type+" "+n.Index] = true
		rows = (n.Rows + n.Removed) * n.Loops
	}
	for _, child := range n.Plans {
		rows += child.touchedOf(table, scans)
	}
	return rows
}

// explain runs the statements that a lookup takes, as they are sent, and
// returns the plan of the last.
func explain(t *testing.T, pool *pgxpool.Pool, planCache string, lookups []hierarchy.Lookup) planNode {
	t.Helper()
	ctx := t.Context()
	tracer := &batchTracer{}
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = tracer
	traced, err := pgxpool.NewWithConfig(ctx, cfg)
	require.NoError(t, err)
	defer traced.Close()
	_, err = newResolver(t, traced, nil).Resolve(ctx, lookups)
	require.NoError(t, err)
	require.Len(t, tracer.statements, 2)

	tx, err := pool.Begin(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(ctx)) }()
	_, err = tx.Exec(ctx, `SELECT set_config('plan_cache_mode', $1, true)`, planCache)
	require.NoError(t, err)
	setting, statement := tracer.statements[0], tracer.statements[1]
	_, err = tx.Exec(ctx, setting.sql, setting.args...)
	require.NoError(t, err)
	var text []byte
	require.NoError(t, tx.QueryRow(ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+statement.sql, statement.args...).Scan(&text))
	var plans []struct {
		Plan planNode `json:"Plan"`
	}
	require.NoError(t, json.Unmarshal(text, &plans))
	return plans[0].Plan
}

func TestResolve_ALookupTouchesNoMoreThanItsChain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO riverhook.subscription (id, site, url, events, owner, permission, dialect)
		SELECT riverhook.new_id(), CASE WHEN i % 1000 = 0 THEN '/' ELSE format('/t%s/o%s', i % 100, i % 10000) END,
			'https://example.com/' || i, CASE WHEN i % 2 = 0 THEN '{user.*}' ELSE '{order.*}' END::text[], 'o' || i, 'view', 'standard'
		FROM generate_series(1, 100000) i`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `ANALYZE riverhook.subscription`)
	require.NoError(t, err)
	lookups := make([]hierarchy.Lookup, 5)
	for i, site := range []hierarchy.Path{"/t1/o1", "/t2/o102", "/t3/o303", "/t4/o4", "/t5/o5"} {
		lookups[i] = hierarchy.Lookup{
			Limit: 500,
			Site:  site,
			Type:  "user.created",
		}
	}
	for _, planCache := range []string{"force_generic_plan", "force_custom_plan"} {
		plan := explain(t, pool, planCache, lookups)
		scans := map[string]bool{}
		rows := plan.touched(scans)
		require.Equal(t, map[string]bool{"Index Scan subscription_site_idx": true}, scans, planCache)
		require.InDelta(t, 5*(100+10), rows, 15, planCache) // all at "/" and at each site; rows are rounded for each of 15 walks
		require.Less(t, plan.Hit+plan.Read, 2*550+100, planCache)
	}
}

func TestResolve_APageOfALargeFanOutTouchesNoMoreThanThePage(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO riverhook.subscription (id, site, url, events, owner, permission, dialect)
		SELECT riverhook.new_id(), CASE WHEN i % 2 = 0 THEN '/' ELSE '/s' || i % 2000 END,
			'https://example.com/' || i, '{user.*}', 'o' || i, 'view', 'standard'
		FROM generate_series(1, 20000) i`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `ANALYZE riverhook.subscription`)
	require.NoError(t, err)
	for _, planCache := range []string{"force_generic_plan", "force_custom_plan"} {
		rows := explain(t, pool, planCache, []hierarchy.Lookup{{
			Limit: 100,
			Site:  "/s1",
			Type:  "user.created",
		}}).touched(map[string]bool{})
		require.LessOrEqual(t, rows, 110.0, planCache)
	}
}

// What is recorded of other intents is not looked at.
func TestResolve_ALaterPageTouchesNoMoreRecordsThanThePage(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO riverhook.subscription (id, site, url, events, owner, permission, dialect)
		SELECT riverhook.new_id(), CASE WHEN i % 2 = 0 THEN '/' ELSE '/s' || i % 200 END,
			'https://example.com/' || i, '{user.*}', 'o' || i, 'view', 'standard'
		FROM generate_series(1, 2000) i`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `
		WITH i AS MATERIALIZED (SELECT riverhook.new_id() AS id FROM generate_series(1, 10))
		INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, matched_pattern, epoch)
		SELECT riverhook.new_id(), i.id, s.id, 'standard', '/', 'user.*', 1 FROM i, riverhook.subscription s`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `ANALYZE riverhook.subscription, riverhook.delivery`)
	require.NoError(t, err)
	for _, planCache := range []string{"force_generic_plan", "force_custom_plan"} {
		plan := explain(t, pool, planCache, []hierarchy.Lookup{{
			IntentID:   uuid.New(),
			Limit:      100,
			Site:       "/s1",
			Type:       "user.created",
			Unrecorded: true,
		}})
		scans := map[string]bool{}
		rows := plan.touchedOf("delivery", scans)
		require.LessOrEqual(t, rows, 110.0, "%s: %v", planCache, scans)
		require.LessOrEqual(t, plan.touched(map[string]bool{}), 110.0, planCache)
		require.NotEmpty(t, scans)
	}
}
