package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// take takes an engine away from the others that make trouble; nil where there is none.
func (w *world) take(r *rand.Rand) *running {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.engines) == 0 {
		return nil
	}
	i := r.IntN(len(w.engines))
	e := w.engines[i]
	w.engines = slices.Delete(w.engines, i, i+1)
	return e
}

// takeWhere takes all engines away for which a condition holds.
func (w *world) takeWhere(wanted func(e *running) bool) []*running {
	w.mu.Lock()
	defer w.mu.Unlock()
	var taken []*running
	w.engines = slices.DeleteFunc(w.engines, func(e *running) bool {
		if !wanted(e) {
			return false
		}
		taken = append(taken, e)
		return true
	})
	return taken
}

func (w *world) putBack(e *running) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.engines = append(w.engines, e)
}

// carriedByPicked are the deliveries that picked jobs carry, and the intents of which they
// may carry any. A delivery that was cancelled while its request is under way has no job any more.
const carriedByPicked = `
	SELECT $1::bigint, d.intent_id, d.subscription_id FROM picked p JOIN riverhook.delivery d ON d.job_id = p.id
	UNION
	SELECT $1::bigint, d.intent_id, d.subscription_id FROM picked p JOIN app.all_delivery d ON d.id = (p.args ->> 'delivery_id')::uuid
	UNION
	SELECT $1::bigint, (p.args ->> 'intent_id')::uuid, NULL FROM picked p WHERE p.args ? 'intent_id'`

// noteCut writes down what an engine has under way: all that may arrive once more
// because its answer is not recorded. What is noted several times under one number counts
// once.
func (w *world) noteCut(number int64, engine string) {
	w.exec(`WITH picked AS (
			SELECT j.id, j.args FROM riverhook.river_job j
			WHERE j.state = 'running' AND starts_with(j.attempted_by[array_length(j.attempted_by, 1)], $2)
		) INSERT INTO app.cut `+carriedByPicked, number, engine)
}

// successor is the name of the engine that takes the place of another one.
func (w *world) successor(e *running, r *rand.Rand) string {
	if w.sameID && chance(r, 30) {
		return e.id
	}
	return w.fresh()
}

// fresh is the name of an engine that nobody has had.
func (w *world) fresh() string { return fmt.Sprintf("engine-%d", w.number()) }

func (w *world) kill(_ context.Context, r *rand.Rand) {
	e := w.take(r)
	if e == nil {
		return
	}
	require.NoError(w.t, e.cmd.Process.Kill())
	e.end(w)
	w.noteCut(w.number(), e.id)
	if chance(r, 70) { // the others wait for its heartbeat
		w.exec(`UPDATE riverhook.engine SET heartbeat_at = now() - interval '1 minute' WHERE starts_with(id, $1)`, e.id)
	}
	w.done("kill")
	w.startEngine(w.successor(e, r))
}

// terminate stops an engine as an orchestrator does: by SIGTERM, and by SIGKILL when
// that takes too long.
func (w *world) terminate(_ context.Context, r *rand.Rand) {
	e := w.take(r)
	if e == nil {
		return
	}
	cut := w.number()
	w.noteCut(cut, e.id)
	require.NoError(w.t, e.cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		e.end(w)
	}()
	for deadline, waiting := time.Now().Add(20*time.Second), true; waiting; {
		select {
		case <-ended:
			waiting = false
		case <-time.After(100 * time.Millisecond):
			w.noteCut(cut, e.id)
			if time.Now().After(deadline) {
				_ = e.cmd.Process.Kill()
			}
		}
	}
	w.done("terminate")
	w.startEngine(w.successor(e, r))
}

// freeze stops the process of an engine for a while: longer than the others believe it
// to live, or shorter.
func (w *world) freeze(ctx context.Context, r *rand.Rand) {
	e := w.take(r)
	if e == nil {
		return
	}
	require.NoError(w.t, e.cmd.Process.Signal(syscall.SIGSTOP))
	cut := w.number()
	w.noteCut(cut, e.id)
	pause(ctx, between(r, time.Second, 22*time.Second))
	w.noteCut(cut, e.id)
	require.NoError(w.t, e.cmd.Process.Signal(syscall.SIGCONT))
	w.done("freeze")
	w.putBack(e)
}

// cutSessions cuts some or all sessions of engines and producers.
func (w *world) cutSessions(_ context.Context, r *rand.Rand) {
	share := one(r, []int{1, 5, 20, 100})
	w.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name <> 'operator' AND pid <> pg_backend_pid()
		AND (hashint4(pid) & 1023) < $1::integer * 1024 / 100`, share)
	w.done("backends")
}

// readOnly has the database refuse writes for some seconds, as a server does that was
// a replica and is not promoted yet.
func (w *world) readOnly(ctx context.Context, r *rand.Rand) {
	var name string
	require.NoError(w.t, w.pool.QueryRow(context.WithoutCancel(ctx), `SELECT quote_ident(current_database())`).Scan(&name))
	cut := `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name <> 'operator' AND pid <> pg_backend_pid()`
	w.exec(`ALTER DATABASE ` + name + ` SET default_transaction_read_only = on`)
	w.exec(cut)
	pause(ctx, between(r, time.Second, 5*time.Second))
	w.exec(`ALTER DATABASE ` + name + ` RESET default_transaction_read_only`)
	w.done("readers")
}

// replaceAll starts all engines anew.
func (w *world) replaceAll() {
	w.mu.Lock()
	old := w.engines
	w.engines = nil
	w.mu.Unlock()
	for _, e := range old {
		w.noteCut(w.number(), e.id)
		_ = e.stdin.Close()
		e.end(w)
		w.startEngine(w.fresh())
	}
}

// editJob edits a River job by hand. Of one that runs, what it carries may arrive once
// more.
func (w *world) editJob(_ context.Context, r *rand.Rand) {
	edit := one(r, []string{
		`DELETE FROM riverhook.river_job j USING edited e WHERE j.id = e.id`,
		`UPDATE riverhook.river_job j SET state = 'completed', finalized_at = now() FROM edited e WHERE j.id = e.id`,
		`UPDATE riverhook.river_job j SET state = 'discarded', finalized_at = now() FROM edited e WHERE j.id = e.id`,
		`UPDATE riverhook.river_job j SET state = 'cancelled', finalized_at = now() FROM edited e WHERE j.id = e.id`,
		`UPDATE riverhook.river_job j SET state = 'available', scheduled_at = now() FROM edited e WHERE j.id = e.id`,
		`UPDATE riverhook.river_job j SET state = 'scheduled', scheduled_at = now() + interval '1 hour' FROM edited e WHERE j.id = e.id`,
	})
	state := one(r, []string{"available", "running", "running", "scheduled"})
	w.exec(`WITH edited AS MATERIALIZED (
			SELECT j.id, j.args, j.state FROM riverhook.river_job j WHERE j.state = '`+state+`'
			ORDER BY hashint8(j.id + $2::bigint) LIMIT 1 FOR UPDATE SKIP LOCKED
		), picked AS (
			SELECT e.id, e.args FROM edited e WHERE e.state = 'running'
		), cut AS (
			INSERT INTO app.cut `+carriedByPicked+`
		) `+edit, w.number(), r.Int64N(1<<40))
	w.done("jobs " + strings.Fields(edit)[0])
}

// holdLocks holds rows, as a transaction of the application can.
func (w *world) holdLocks(ctx context.Context, r *rand.Rand) {
	table := one(r, []string{"subscription", "delivery", "intent_state", "intent", "site", "subscription_health"})
	tx, err := w.pool.Begin(context.WithoutCancel(ctx))
	require.NoError(w.t, err)
	_, err = tx.Exec(context.WithoutCancel(ctx), `SELECT FROM riverhook.`+table+` t ORDER BY hashtextextended(t::text, $1) LIMIT 3
		FOR UPDATE SKIP LOCKED`, r.Int64())
	if err == nil {
		pause(ctx, between(r, 100*time.Millisecond, 2*time.Second))
	}
	require.NoError(w.t, tx.Rollback(context.WithoutCancel(ctx)))
	w.done("locks")
}
