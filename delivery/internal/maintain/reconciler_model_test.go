package maintain

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// watched is a kind of rows whose jobs a Reconciler looks for. Each statement is about the
// row that $1 names, and $2 is how many seconds before this hour it was due.
type watched struct {
	insert   string // one that has a job; $1 is any number
	rows     string // the names of all
	lost     string // of those that have no job
	move     string
	together bool // move moves others as well
	end      string
	job      string // of a row
	run      func(r *Reconciler) func(context.Context) (int, error)
	at       func(r *Reconciler) place
}

const aJob = `INSERT INTO riverhook.river_job (args, kind, max_attempts, queue, state, scheduled_at)
	VALUES ('{}', 'riverhook_deliver', 1000, 'deliver', 'available', now()) RETURNING id`

var watchedKinds = map[string]watched{
	"deliveries": {
		insert: `WITH job AS (` + aJob + `)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id, due_at)
			SELECT gen_random_uuid(), gen_random_uuid(), lpad(($1::integer)::text, 32, '0')::uuid, 'standard', '/', 1, id,
				date_trunc('hour', now()) - make_interval(secs => $2) FROM job`,
		rows: `SELECT id::text FROM riverhook.delivery WHERE due_at IS NOT NULL ORDER BY id`,
		lost: `SELECT id::text FROM riverhook.delivery d
			WHERE due_at IS NOT NULL AND NOT EXISTS (SELECT FROM riverhook.river_job j WHERE j.id = d.job_id)`,
		move: `UPDATE riverhook.delivery SET due_at = date_trunc('hour', now()) - make_interval(secs => $2) WHERE id = $1::uuid`,
		end:  `UPDATE riverhook.delivery SET state = 'delivered', due_at = NULL, ended_at = now() WHERE id = $1::uuid`,
		job:  `SELECT job_id FROM riverhook.delivery WHERE id = $1::uuid`,
		run:  func(r *Reconciler) func(context.Context) (int, error) { return r.Deliveries },
		at:   func(r *Reconciler) place { return r.deliveries },
	},
	"decisions": {
		insert: `WITH job AS (` + aJob + `)
			INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site, job_id, due_at)
			SELECT lpad(($1::integer)::text, 32, '0')::uuid, gen_random_uuid(), 'waiting', '/', id,
				date_trunc('hour', now()) - make_interval(secs => $2) FROM job`,
		rows: `SELECT subscription_id::text FROM riverhook.decision ORDER BY subscription_id`,
		lost: `SELECT subscription_id::text FROM riverhook.decision d
			WHERE NOT EXISTS (SELECT FROM riverhook.river_job j WHERE j.id = d.job_id)`,
		move: `UPDATE riverhook.decision SET due_at = date_trunc('hour', now()) - make_interval(secs => $2) WHERE subscription_id = $1::uuid`,
		end:  `DELETE FROM riverhook.decision WHERE subscription_id = $1::uuid`,
		job:  `SELECT job_id FROM riverhook.decision WHERE subscription_id = $1::uuid`,
		run:  func(r *Reconciler) func(context.Context) (int, error) { return r.Decisions },
		at:   func(r *Reconciler) place { return r.decisions },
	},
	"expansions": {
		insert: `WITH job AS (` + aJob + `)
			INSERT INTO riverhook.intent_state (intent_id, state, job_id, due_at)
			SELECT gen_random_uuid(), CASE WHEN $1 = 1 THEN 'expanded' ELSE 'pending' END, id,
				date_trunc('hour', now()) - make_interval(secs => $2) FROM job`,
		rows: `SELECT intent_id::text FROM riverhook.intent_state WHERE state = 'pending' ORDER BY intent_id`,
		lost: `SELECT intent_id::text FROM riverhook.intent_state s
			WHERE state = 'pending' AND NOT EXISTS (SELECT FROM riverhook.river_job j WHERE j.id = s.job_id)`,
		move: `UPDATE riverhook.intent_state SET due_at = date_trunc('hour', now()) - make_interval(secs => $2) WHERE intent_id = $1::uuid`,
		end:  `UPDATE riverhook.intent_state SET state = 'expanded' WHERE intent_id = $1::uuid`,
		job:  `SELECT job_id FROM riverhook.intent_state WHERE intent_id = $1::uuid`,
		run:  func(r *Reconciler) func(context.Context) (int, error) { return r.Intents },
		at:   func(r *Reconciler) place { return r.intents },
	},
	// Of up to five intents that are being expanded and get more deliveries, and then are not.
	"first attempts": {
		insert: `WITH job AS (` + aJob + `), own AS (` + aJob + `), intent AS (
				INSERT INTO riverhook.intent_state (intent_id, job_id, due_at)
				SELECT lpad(($1::integer)::text, 32, '0')::uuid, id, date_trunc('hour', now()) - make_interval(secs => $2) FROM own
				ON CONFLICT (intent_id) DO UPDATE SET state = CASE WHEN intent_state.due_at IS NULL THEN 'pending' ELSE intent_state.state END,
					due_at = coalesce(intent_state.due_at, excluded.due_at)
				RETURNING intent_id, state
			)
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id)
			SELECT gen_random_uuid(), intent_id, gen_random_uuid(), 'standard', '/', 1, id FROM job, intent WHERE state = 'pending'`,
		rows: `SELECT id::text FROM riverhook.delivery WHERE state = 'pending' AND due_at IS NULL ORDER BY id`,
		lost: `SELECT id::text FROM riverhook.delivery d WHERE state = 'pending' AND due_at IS NULL
			AND NOT EXISTS (SELECT FROM riverhook.river_job j WHERE j.id = d.job_id)`,
		move: `UPDATE riverhook.intent_state SET due_at = date_trunc('hour', now()) - make_interval(secs => $2), state = 'expanded'
			WHERE intent_id = (SELECT intent_id FROM riverhook.delivery WHERE id = $1::uuid)`,
		together: true,
		end:      `UPDATE riverhook.delivery SET state = 'delivered', ended_at = now() WHERE id = $1::uuid`,
		job:      `SELECT job_id FROM riverhook.delivery WHERE id = $1::uuid`,
		run:      func(r *Reconciler) func(context.Context) (int, error) { return r.Intents },
		at:       func(r *Reconciler) place { return r.intents },
	},
}

// Whatever is inserted, moved and ended between the steps, what has lost its job has a new
// one at the end of the second pass after that at the latest.
func TestReconciler_FindsWhatIsLostWithinTwoPasses(t *testing.T) {
	t.Parallel()
	db, ctx := newDatabase(t), t.Context()
	list := func(t require.TestingT, query string) []string {
		rows, err := db.Query(ctx, query)
		require.NoError(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return names
	}
	names := []string{"deliveries", "decisions", "expansions", "first attempts"}
	rapid.Check(t, func(t *rapid.T) {
		db.exec(`DELETE FROM riverhook.river_job`)
		db.exec(`DELETE FROM riverhook.delivery`)
		db.exec(`DELETE FROM riverhook.decision`)
		db.exec(`DELETE FROM riverhook.intent_state`)
		k := watchedKinds[rapid.SampledFrom(names).Draw(t, "kind")]
		rows := rapid.IntRange(2, 5).Draw(t, "rows of a step")
		r := db.reconciler(0, Pace{
			Rows: rows,
			Idle: 1,
			Busy: 1,
		})
		passes := map[string]int{} // that have ended since a row is lost
		one := func(t *rapid.T) string {
			all := list(t, k.rows)
			if len(all) == 0 {
				return ""
			}
			return rapid.SampledFrom(all).Draw(t, "row")
		}
		ago := func(t *rapid.T) int { return rapid.IntRange(1, 4).Draw(t, "due") }
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "rows") {
					db.exec(k.insert, rapid.IntRange(1, 5).Draw(t, "of"), ago(t))
				}
			},
			"lose": func(t *rapid.T) {
				if row := one(t); row != "" {
					db.exec(`DELETE FROM riverhook.river_job WHERE id = (`+k.job+`)`, row)
				}
			},
			"move": func(t *rapid.T) {
				if row := one(t); row != "" {
					db.exec(k.move, row, ago(t))
					delete(passes, row)
					if k.together {
						clear(passes)
					}
				}
			},
			"end": func(t *rapid.T) {
				if row := one(t); row != "" {
					db.exec(k.end, row)
				}
			},
			"step": func(t *rapid.T) {
				_, err := k.run(r)(ctx)
				require.NoError(t, err)
				if k.at(r) == (place{}) {
					for row := range passes {
						passes[row]++
					}
				}
			},
			"": func(t *rapid.T) {
				lost := map[string]bool{}
				for _, row := range list(t, k.lost) {
					lost[row] = true
					require.Less(t, passes[row], 2, row)
					passes[row] += 0
				}
				for row := range passes {
					if !lost[row] {
						delete(passes, row)
					}
				}
			},
		})
	})
}
