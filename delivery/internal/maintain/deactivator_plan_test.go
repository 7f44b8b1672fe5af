package maintain

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// seen keeps the statement that has a name.
type seen struct{ name, sql string }

func (s *seen) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, s.name) {
		s.sql = data.SQL
	}
	return ctx
}

func (*seen) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

type plan struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Rows    float64 `json:"Actual Rows"`
	Removed float64 `json:"Rows Removed by Filter"`
	Loops   float64 `json:"Actual Loops"`
	Plans   []plan  `json:"Plans"`
}

func (p *plan) touched() float64 {
	var rows float64
	if p.Table != "" {
		rows = (p.Rows + p.Removed) * p.Loops
	}
	for i := range p.Plans {
		rows += p.Plans[i].touched()
	}
	return rows
}

func TestDeactivator_ReadsNoMoreThanItLooksAt(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	for _, statement := range []string{
		`INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
			SELECT riverhook.new_id(), '/', 'https://example.com', '{user.*}', true, 'standard' FROM generate_series(1, 100000)`,
		// A tenth fails; the others have failed once.
		`INSERT INTO riverhook.subscription_health (subscription_id, epoch, failing_since, failed_attempts)
			SELECT id, 1, CASE WHEN row_number() OVER () % 10 = 0 THEN now() END, 1 FROM riverhook.subscription`,
		`ANALYZE riverhook.subscription`, `ANALYZE riverhook.subscription_health`,
	} {
		_, err := pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	statement := &seen{name: "name: Troubled"}
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = statement
	traced, err := pgxpool.NewWithConfig(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(traced.Close)
	d := &Deactivator{
		DB:     traced,
		Log:    silent,
		NewID:  uuid.New,
		Schema: "riverhook",
	}
	_, err = d.Run(ctx)
	require.NoError(t, err)

	for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
		tx, err := pool.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, `SELECT set_config('plan_cache_mode', $1, true)`, mode)
		require.NoError(t, err)
		var text []byte
		require.NoError(t, tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+statement.sql, d.last, troubledRows).Scan(&text))
		require.NoError(t, tx.Rollback(ctx))
		var plans []struct {
			Plan plan `json:"Plan"`
		}
		require.NoError(t, json.Unmarshal(text, &plans))
		require.LessOrEqual(t, plans[0].Plan.touched(), 2.0*troubledRows, mode)
	}
}
