package maintain

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

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
		// Some fail, by far the fewest; the others have failed once.
		`INSERT INTO riverhook.subscription_health (subscription_id, epoch, failing_since, failed_attempts)
			SELECT id, 1, CASE WHEN row_number() OVER () % 90 = 0 THEN now() END, 1 FROM riverhook.subscription`,
		`ANALYZE riverhook.subscription`, `ANALYZE riverhook.subscription_health`,
	} {
		_, err := pool.Exec(ctx, statement)
		require.NoError(t, err)
	}
	read := &costs{
		t:    t,
		read: map[string]cost{},
		runs: map[string]int{},
	}
	cfg := pool.Config()
	cfg.ConnConfig.Tracer = read
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
	require.LessOrEqual(t, read.read["Troubled"].rows, 2.0*troubledRows)
	require.GreaterOrEqual(t, read.read["Troubled"].rows, 1.0*troubledRows)
}
