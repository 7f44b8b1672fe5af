package maintain

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// cost is what the dearest run of a statement has read.
type cost struct {
	rows    float64 // of tables
	buffers float64
}

// measuredRuns is how many runs of a statement are measured.
const measuredRuns = 5

// costs measures each statement of ours just before it is run, on its connection, and undoes
// that.
type costs struct {
	t         *testing.T
	measuring bool
	read      map[string]cost // by the name of the statement
	runs      map[string]int
}

var statementName = regexp.MustCompile(`^-- name: (\w+)`)

func (c *costs) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if conn.PgConn().TxStatus() == 'I' {
		c.measure(ctx, conn, data.SQL, data.Args,
			"SET LOCAL plan_cache_mode = force_generic_plan", "SET LOCAL plan_cache_mode = force_custom_plan")
	} else {
		c.measure(ctx, conn, data.SQL, data.Args, "SELECT") // as the transaction is set
	}
	return ctx
}

func (*costs) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *costs) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, query := range data.Batch.QueuedQueries { // with plans that are kept
		c.measure(ctx, conn, query.SQL, query.Arguments,
			"SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; SET LOCAL jit = off")
	}
	return ctx
}

func (*costs) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (*costs) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// measure runs a statement with each of some settings.
func (c *costs) measure(ctx context.Context, conn *pgx.Conn, sql string, args []any, settings ...string) {
	name := statementName.FindStringSubmatch(sql)
	if c.measuring || name == nil || c.runs[name[1]] == measuredRuns {
		return
	}
	c.runs[name[1]]++
	c.measuring = true
	defer func() { c.measuring = false }()
	values := make([]string, len(args))
	for i, arg := range args {
		values[i] = literal(arg)
	}
	call := ""
	if len(args) > 0 {
		call = "(" + strings.Join(values, ", ") + ")"
	}
	begin, undo := "BEGIN", "ROLLBACK"
	if conn.PgConn().TxStatus() != 'I' {
		begin, undo = "SAVEPOINT cost", "ROLLBACK TO SAVEPOINT cost"
	}
	for _, setting := range settings {
		_, err := conn.Exec(ctx, begin+"; "+setting+"; PREPARE cost AS "+sql)
		require.NoError(c.t, err, name[1])
		var text []byte
		err = conn.QueryRow(ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE cost"+call).Scan(&text)
		require.NoError(c.t, err, name[1])
		_, err = conn.Exec(ctx, undo+"; DEALLOCATE cost")
		require.NoError(c.t, err, name[1])
		var plans []struct {
			Plan struct {
				plan

				Hit  float64 `json:"Shared Hit Blocks"`
				Read float64 `json:"Shared Read Blocks"`
			} `json:"Plan"`
		}
		require.NoError(c.t, json.Unmarshal(text, &plans))
		before := c.read[name[1]]
		c.read[name[1]] = cost{
			rows:    max(before.rows, plans[0].Plan.touched()),
			buffers: max(before.buffers, plans[0].Plan.Hit+plans[0].Plan.Read),
		}
	}
}

// literal writes an argument as SQL.
func literal(arg any) string {
	var text string
	switch v := arg.(type) {
	case nil:
		return "NULL"
	case []byte:
		text = `\x` + hex.EncodeToString(v)
	case []string:
		text = `{"` + strings.Join(v, `","`) + `"}`
	case []int:
		text = strings.NewReplacer("[", "{", "]", "}", " ", ",").Replace(fmt.Sprint(v))
	case time.Time:
		text = v.Format("2006-01-02T15:04:05.999999Z07:00")
	case *time.Time:
		return literal(*v)
	case uuid.UUID:
		text = v.String()
	default:
		text = fmt.Sprint(v)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// backlog makes n of each kind of rows that rounds meet and that need nothing, and a few that
// need something.
func (db *database) backlog(n int) {
	db.t.Helper()
	for _, sql := range []string{
		// Subscriptions that are paused, with a held delivery and counted failures each.
		`WITH s AS (INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, state)
				SELECT gen_random_uuid(), '/', 'https://example.com', '{**}', true, 'standard', 'paused' FROM generate_series(1, $1) RETURNING id),
			h AS (INSERT INTO riverhook.subscription_health (subscription_id, epoch, failing_since, failed_attempts) SELECT id, 1, now(), 1 FROM s)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since)
			SELECT riverhook.new_id(), gen_random_uuid(), id, 'standard', '/', 1, 'paused', now() FROM s`,
		// An endpoint whose circuit is open, of which all was held for a long time.
		`WITH s AS (INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
				SELECT gen_random_uuid(), '/', 'https://example.com', '{**}', true, 'standard' RETURNING id),
			h AS (INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened)
				SELECT id, 1, now() + interval '1 h', 1 FROM s)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since, retry_at)
			SELECT ('00' || substr(gen_random_uuid()::text, 3))::uuid, gen_random_uuid(), s.id, 'standard', '/', 1, 'circuit', now(), now()
			FROM s, generate_series(1, $1)`,
		// What is due in order, with its jobs.
		`WITH job AS (INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at)
				SELECT '{}', 'riverhook_deliver', 1000, 'deliver', 'available', now() FROM generate_series(1, $1) RETURNING id),
			intents AS (INSERT INTO riverhook.intent_state (intent_id, job_id, due_at)
				SELECT gen_random_uuid(), id, now() - interval '1 min' FROM job),
			decisions AS (INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, job_id, due_at)
				SELECT ('00' || substr(gen_random_uuid()::text, 3))::uuid, gen_random_uuid(), 'waiting', '/', id, now() - interval '1 min' FROM job)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id, due_at)
			SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'standard', '/', 1, id, now() - interval '1 min' FROM job`,
		// A fan-out of which one first attempt is under way.
		`WITH job AS (INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at)
				VALUES ('{}', 'riverhook_expand', 1000, 'expand', 'running', now()) RETURNING id),
			s AS (INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
				SELECT gen_random_uuid(), id, now() - interval '30 s', 'expanded' FROM job RETURNING intent_id, job_id)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id, state, ended_at)
			SELECT gen_random_uuid(), intent_id, lpad(n::text, 32, '0')::uuid, 'standard', '/', 1, job_id,
				CASE WHEN n < $1 THEN 'delivered' ELSE 'pending' END, CASE WHEN n < $1 THEN now() END
			FROM s, generate_series(1, $1) n`,
		// What is held for causes: for one that this engine ends, and for one that it probes.
		`WITH s AS (INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, schedule)
				SELECT gen_random_uuid(), '/', 'https://example.com', '{**}', true, 'standard', 'weekly' RETURNING id),
			d AS (INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, held_since, cause, cause_share)
				SELECT gen_random_uuid(), id, 'waiting', '/', now(), 'schedule:weekly', 'a' FROM s, generate_series(1, $1))
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since, cause, cause_share)
			SELECT gen_random_uuid(), gen_random_uuid(), id, 'standard', '/', 1, 'cause', now(), 'tree:', 'a' FROM s, generate_series(1, $1)`,
		// What is kept, of which most is old.
		`WITH i AS (INSERT INTO riverhook.intent (id, wire_id, type, site, share, occurred_at)
				SELECT ('00' || substr(x::text, 3))::uuid, x::text, 'a.b', '/', '/', now()
				FROM (SELECT gen_random_uuid() x FROM generate_series(1, $1)) y
				RETURNING id)
			INSERT INTO riverhook.intent_state (intent_id, job_id, state, keep, keep_at)
			SELECT id, 0, 'expanded', 'hash', now() FROM i`,
		`WITH s AS (INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, deleted_at)
				SELECT gen_random_uuid(), '/', 'https://example.com', '{**}', true, 'standard', now() - interval '1 y'
				FROM generate_series(1, $1) RETURNING id)
			INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site) SELECT gen_random_uuid(), id, 'denied', '/' FROM s`,
		`INSERT INTO riverhook.erasure (resource, erased_at) SELECT sha256(gen_random_uuid()::text::bytea), now() FROM generate_series(1, $1)`,
		`INSERT INTO riverhook.challenged_host (host, asked_at) SELECT gen_random_uuid()::text, now() FROM generate_series(1, $1)`,
		`INSERT INTO riverhook.site_alias (path, ended, site_id, ended_at)
			SELECT '/' || gen_random_uuid(), n, '00000000-0000-0000-0000-000000000000', now() FROM generate_series(1, $1) n`,
	} {
		db.exec(sql, n)
	}
	// What needs something.
	sub := db.subscribe()
	db.hold(sub, 1, "circuit")
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, circuit_until, circuit_opened) VALUES ($1, 1, now(), 1)`, sub)
	sub = db.subscribe()
	db.hold(sub, 5, "paused")
	db.exec(`UPDATE riverhook.delivery SET held_since = now() - interval '2 h' WHERE subscription_id = $1`, sub)
	db.hold(db.subscribe(), 5, "slots")
	sub = db.subscribe()
	db.exec(`UPDATE riverhook.subscription SET deleted_at = now() WHERE id = $1`, sub)
	db.hold(sub, 5, "slots")
	db.deliver(sub, 5, "pending")
	db.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '1 h' WHERE subscription_id = $1 AND hold = ''`, sub)
	db.heldForCause(sub)
	db.heldForCause(db.subscribe())
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at) VALUES (riverhook.new_id(), 0, now() - interval '1 h')`)
	db.exec(`INSERT INTO riverhook.intent_state (intent_id, job_id, due_at, state)
		VALUES (riverhook.new_id(), 0, now() - interval '1 h', 'expanded')`)
	db.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, due_at)
		VALUES (gen_random_uuid(), gen_random_uuid(), 'waiting', '/', now() - interval '1 h')`)
	db.exec(`INSERT INTO riverhook.subscription_health (subscription_id, epoch, failing_since, failed_attempts, app_failed)
		VALUES ((SELECT id FROM riverhook.subscription WHERE state = 'paused' ORDER BY id LIMIT 1), 0, now(), 1, true)`)
	db.deliver(db.subscribe(), 3, "delivered")
	db.exec("ANALYZE")
}

// heldForCause makes a delivery and a decision of a subscription that wait for a schedule which
// it does not have.
func (db *database) heldForCause(sub uuid.UUID) {
	db.exec(`INSERT INTO riverhook.delivery
			(id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since, cause, cause_share)
		VALUES (riverhook.new_id(), riverhook.new_id(), $1, 'standard', '/', 1, 'cause', now(), 'schedule:daily', 'a')`, sub)
	db.exec(`INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, held_since, cause, cause_share)
		VALUES (riverhook.new_id(), $1, 'waiting', '/', now(), 'schedule:daily', 'a')`, sub)
}

// mostRows has each statement of a round, and how many rows of tables one run of it may read,
// whatever is there.
var mostRows = map[string]int{
	"CancelHeld":           3 * cancelRows,
	"ClaimCause":           2,
	"DeleteDeliveries":     2 * pruneStep,
	"EndCaused":            4 * cancelRows,
	"ExpireDecisions":      2 * Rounds.Rows,
	"ExpireHeld":           2 * Rounds.Rows,
	"ForgetAliases":        4 * pruneStep,
	"ForgetSubscriptions":  4 * pruneStep,
	"HeldCauses":           4 * maxCauses,
	"HeldSubscriptions":    5 * Rounds.Rows,
	"LeaseMaintenance":     3,
	"LockOldDeliveries":    4 * pruneStep,
	"LockOldIntents":       5 * pruneStep,
	"LockPayloads":         4 * pruneStep,
	"LockSurplus":          countStep + 4*pruneStep,
	"ProbeCircuits":        6 * Rounds.Rows,
	"PruneChallengedHosts": 4 * pruneStep,
	"PruneDecisions":       4 * pruneStep,
	"PruneErasures":        4 * pruneStep,
	"PruneHealth":          6 * pruneStep,
	"PruneRates":           4 * pruneStep,
	"ReconcileDecisions":   4 * Rounds.Rows,
	"ReconcileDeliveries":  4 * Rounds.Rows,
	"ReconcileIntents":     4 * Rounds.Rows,
	"ReducePayloads":       7 * pruneStep,
	"ReleaseDecisions":     4 * maxReleased,
	"ReleaseDeliveries":    4 * maxReleased,
	"ReleaseHeld":          5 * Rounds.Rows,
	"ReleaseResolved":      4 * resolvedRows,
	"ReviewCauses":         6 * Rounds.Rows,
	"Troubled":             2 * troubledRows,
	"TryPruneLock":         0,
	"WatchDecisions":       2 * Rounds.Rows,
	"WatchDeliveries":      2 * Rounds.Rows,
	"WatchIntents":         4 * Rounds.Rows,
}

// What a statement of a round reads does not depend on how much is there.
func TestRound_CostsTheSameWithFiftyTimesAsMuch(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	measure := func() map[string]cost {
		c := &costs{
			t:    t,
			read: map[string]cost{},
			runs: map[string]int{},
		}
		cfg := db.Config()
		cfg.ConnConfig.Tracer = c
		cfg.MaxConns = 1
		traced, err := pgxpool.NewWithConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer traced.Close()
		on := &database{Pool: traced, t: t}
		m := on.maintainer("first")
		require.NoError(t, m.Round(t.Context()))
		m.Reconciler.intents = place{at: time.Now().Add(-45 * time.Second)} // just before the fan-out
		_, err = m.Reconciler.Intents(t.Context())
		require.NoError(t, err)
		_, err = on.pruner("first", 1).All(t.Context())
		require.NoError(t, err)
		return c.read
	}
	const few, many = 200, 10_000
	db.backlog(few)
	small := measure()
	db.backlog(many - few)
	large := measure()

	require.Equal(t, slices.Sorted(maps.Keys(mostRows)), slices.Sorted(maps.Keys(large)))
	for name, most := range mostRows {
		t.Logf("%s: %v and %v", name, small[name], large[name])
		for _, read := range []cost{small[name], large[name]} {
			require.LessOrEqual(t, read.rows, float64(most), name)
			require.LessOrEqual(t, read.buffers, float64(4*most+200), name)
		}
	}
}
