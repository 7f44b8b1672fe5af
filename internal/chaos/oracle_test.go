package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/event"
)

const (
	// settleTime is how long all that is left may take when it is calm.
	settleTime = 90 * time.Second

	// slack is how late a request may begin after its subscription was changed: a row
	// may be a second old, and the machine busy.
	slack = 5 * time.Second
)

// calm ends all trouble.
func (w *world) calm() {
	close(w.producing)
	w.producers.Wait()
	w.receiver.trouble.Store(false)
	for len(w.engines) < 2 {
		w.startEngine(w.fresh())
	}
	for _, e := range w.engines {
		require.NoError(w.t, e.cmd.Process.Signal(syscall.SIGCONT))
		_, err := e.stdin.Write([]byte("calm\n"))
		require.NoError(w.t, err, "%s: %s", e.id, e.said)
	}
	for _, s := range w.listeners {
		if s.isSteady() || s.last().state == "deleted" {
			continue
		}
		next := s.last()
		next.state = "active"
		w.touch(s, next, func(tx pgx.Tx) error {
			_, err := w.subs.In(tx).Activate(w.t.Context(), s.id, nil)
			return err
		})
	}
	w.retryFailed(w.t.Context())
}

// pending is what has not ended, in words; empty when all has. A job that was put off by
// hand, and whose row goes on or has ended without it, is no more than a late alarm.
const pending = `
	SELECT 'delivery ' || d.id || ' hold=' || d.hold || ' job=' || coalesce(d.job_id::text, '') || ' ' || coalesce(j.state::text, 'no job')
		|| ' due=' || coalesce(d.due_at::text, '') || ' ' || d.reason
	FROM riverhook.delivery d LEFT JOIN riverhook.river_job j ON j.id = d.job_id WHERE d.state = 'pending'
	UNION ALL
	SELECT 'intent ' || s.intent_id || ' ' || coalesce(j.state::text, 'no job') || ' due=' || coalesce(s.due_at::text, '') || ' ' || s.reason
	FROM riverhook.intent_state s LEFT JOIN riverhook.river_job j ON j.id = s.job_id WHERE s.state = 'pending'
	UNION ALL
	SELECT 'decision of ' || c.intent_id || ' ' || coalesce(j.state::text, 'no job') || ' ' || c.reason
	FROM riverhook.decision c LEFT JOIN riverhook.river_job j ON j.id = c.job_id WHERE c.outcome = 'waiting'
	UNION ALL
	SELECT 'job ' || j.id || ' ' || j.kind || ' ' || j.state || ' ' || j.args FROM riverhook.river_job j
	WHERE j.state IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND j.scheduled_at < now() + interval '10 minutes'`

// settle waits until nothing is pending. Waits of minutes and hours are made shorter.
func (w *world) settle() {
	ctx := w.t.Context()
	var left []string
	// What has lost its job is looked for after 15 s.
	w.exec(`UPDATE riverhook.delivery SET due_at = due_at - interval '20 seconds' WHERE due_at IS NOT NULL`)
	w.exec(`UPDATE riverhook.intent_state SET due_at = due_at - interval '20 seconds' WHERE due_at IS NOT NULL`)
	w.exec(`UPDATE riverhook.decision SET due_at = due_at - interval '20 seconds' WHERE outcome = 'waiting'`)
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline); pause(ctx, 200*time.Millisecond) {
		w.exec(`UPDATE riverhook.subscription_health SET circuit_until = now() WHERE circuit_until > now() + interval '1 second'`)
		// A probe whose job was edited or has ended without it keeps others away for a minute.
		w.exec(`UPDATE riverhook.subscription_health h SET probe_until = now() WHERE probe_until > now() + interval '1 second'
			AND NOT EXISTS (SELECT FROM riverhook.delivery d JOIN riverhook.river_job j ON j.id = d.job_id
				WHERE d.id = h.probe_id AND d.state = 'pending' AND j.state = 'running')`)
		w.exec(`UPDATE riverhook.river_job SET scheduled_at = now() + interval '1 second'
			WHERE state = 'scheduled' AND scheduled_at > now() + interval '2 seconds' AND kind = 'riverhook_deliver'`)
		rows, err := w.pool.Query(ctx, pending)
		require.NoError(w.t, err)
		left, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(w.t, err)
		if len(left) == 0 {
			break
		}
	}
	require.Empty(w.t, strings.Join(left, "\n"), "is stuck")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.engines {
		require.NoError(w.t, e.stdin.Close())
		e.end(w)
	}
}

// eventOf is what is known of an event that was committed.
type eventOf struct {
	id       string
	office   *node
	kind     string
	state    string
	least    time.Time // before its commit
	most     time.Time // its expansion was committed
	intent   uuid.UUID
	became   map[uuid.UUID]string // by subscription: the state of the delivery, or the decision
	attempts map[uuid.UUID]int    // by subscription
	wanted   map[uuid.UUID]int    // by subscription: its rounds, and the attempts whose answer came too late
	cuts     map[uuid.UUID]int    // by subscription; of uuid.Nil they count for all
}

// judge holds against each other what producers, database and receiver know.
func (w *world) judge() {
	events := w.events()
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	w.judgeArrivals(events, fault)
	for _, ev := range events {
		w.judgeEvent(ev, fault)
	}
	w.judgeRows(fault)
	w.judgeErased(fault)
	w.judgeQuestions(fault)
	w.report(events)
	if len(faults) > 40 {
		faults = append(faults[:40], fmt.Sprintf("... and %d more", len(faults)-40))
	}
	require.Empty(w.t, strings.Join(faults, "\n"), "-chaos.seed %d", *seed)
}

// events reads what was committed and what became of it.
func (w *world) events() map[string]*eventOf {
	ctx := w.t.Context()
	nodes := map[uuid.UUID]*node{}
	for _, n := range w.nodes {
		nodes[n.id] = n
	}
	events, byIntent := map[string]*eventOf{}, map[uuid.UUID]*eventOf{}
	rows, err := w.pool.Query(ctx, `
		SELECT l.event, l.office, l.type, l.at, coalesce(i.id, '00000000-0000-0000-0000-000000000000'), coalesce(s.state, ''),
			coalesce(s.ended_at, 'infinity')
		FROM app.ledger l LEFT JOIN app.all_intent i ON i.wire_id = l.event LEFT JOIN app.all_intent_state s ON s.intent_id = i.id`)
	require.NoError(w.t, err)
	var office uuid.UUID
	var ev eventOf
	_, err = pgx.ForEachRow(rows, []any{&ev.id, &office, &ev.kind, &ev.least, &ev.intent, &ev.state, &ev.most}, func() error {
		known := ev
		known.office = nodes[office]
		known.became, known.attempts = map[uuid.UUID]string{}, map[uuid.UUID]int{}
		known.wanted, known.cuts = map[uuid.UUID]int{}, map[uuid.UUID]int{}
		events[ev.id], byIntent[ev.intent] = &known, &known
		return nil
	})
	require.NoError(w.t, err)
	each := func(query string, f func(ev *eventOf, subscription uuid.UUID, text string, n int)) {
		rows, err := w.pool.Query(ctx, query)
		require.NoError(w.t, err)
		var intent, subscription uuid.UUID
		var text string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&intent, &subscription, &text, &n}, func() error {
			if ev := byIntent[intent]; ev != nil {
				f(ev, subscription, text, n)
			}
			return nil
		})
		require.NoError(w.t, err)
	}
	became := func(ev *eventOf, subscription uuid.UUID, text string, _ int) {
		if had := ev.became[subscription]; had != "" {
			text = had + " and " + text
		}
		ev.became[subscription] = text
	}
	each(`SELECT intent_id, subscription_id, state, 0 FROM app.all_delivery`, became)
	each(`SELECT intent_id, subscription_id, outcome, 0 FROM riverhook.decision
		UNION ALL SELECT intent_id, subscription_id, outcome, 0 FROM app.decision c
		WHERE outcome <> 'waiting'`, became) // one that waited made way for its delivery
	each(`SELECT d.intent_id, d.subscription_id, '', count(*)::integer FROM app.all_attempt a JOIN app.all_delivery d ON d.id = a.delivery_id
		GROUP BY 1, 2`, func(ev *eventOf, subscription uuid.UUID, _ string, n int) { ev.attempts[subscription] = n })
	// An engine that stops waits for no answer, and records that it did not.
	each(`SELECT d.intent_id, d.subscription_id, '', (max(d.round) + count(*) FILTER (WHERE a.outcome IN ('timeout', 'unreachable')
			OR a.outcome = 'interrupted' AND starts_with(a.error, 'canceled')))::integer
		FROM app.all_delivery d LEFT JOIN app.all_attempt a ON a.delivery_id = d.id
		GROUP BY 1, 2`, func(ev *eventOf, subscription uuid.UUID, _ string, n int) { ev.wanted[subscription] = n })
	each(`SELECT intent_id, coalesce(subscription_id, '00000000-0000-0000-0000-000000000000'), '', count(DISTINCT number)::integer
		FROM app.cut GROUP BY 1, 2`,
		func(ev *eventOf, subscription uuid.UUID, _ string, n int) { ev.cuts[subscription] = n })
	return events
}

// judgeEvent holds an event against its subscriptions.
func (w *world) judgeEvent(ev *eventOf, fault func(format string, args ...any)) {
	switch ev.state {
	case "expanded":
	case "cancelled": // it was erased, or its job cancelled by hand
		return
	default:
		fault("%s: the intent is %q", ev.id, ev.state)
		return
	}
	for _, s := range w.listeners {
		all, ever := ev.office.under(s.site, ev.least, ev.most)
		matches := event.MatchPattern(s.pattern, ev.kind)
		became := ev.became[s.id]
		switch {
		case became == "" && all && matches && s.inForce(ev.least, ev.most):
			fault("%s: nothing is known of %s (%s at depth %d)", ev.id, s.key, s.pattern, s.site.depth)
		case became != "" && (!ever || !matches):
			fault("%s: %s is %s and hears no such event (%s at depth %d)", ev.id, s.key, became, s.pattern, s.site.depth)
		case strings.Contains(became, " and "):
			fault("%s: %s is %s", ev.id, s.key, became)
		case became != "" && s.owner == deniedOwner && became != "denied" && became != "inactive" && became != "gone":
			fault("%s: %s is %s", ev.id, s.key, became)
		}
	}
}

// inForce says whether a subscription was there, active or paused, and unchanged, in
// all of a time.
func (s *sub) inForce(least, most time.Time) bool {
	before := slices.IndexFunc(s.touches, func(t touch) bool { return t.at.most.After(least) })
	if before == -1 {
		before = len(s.touches)
	}
	if before == 0 {
		return false
	}
	state := s.touches[before-1].state
	return (state == "active" || state == "paused") && (before == len(s.touches) || s.touches[before].at.least.After(most))
}

// judgeArrivals holds what the receiver has got against what was committed and what
// was recorded.
func (w *world) judgeArrivals(events map[string]*eventOf, fault func(format string, args ...any)) {
	byURL := map[string]*sub{}
	for _, s := range w.listeners {
		for _, t := range s.touches {
			byURL[t.url] = s
		}
	}
	type place struct {
		ev *eventOf
		s  *sub
	}
	counts := map[place]int{}
	for _, a := range w.receiver.all() {
		ev, s := events[a.event], byURL[a.endpoint]
		switch {
		case w.rolled[a.event]:
			fault("%s: was rolled back and arrived at %s", a.event, a.endpoint)
			continue
		case ev == nil:
			fault("%s: was not committed and arrived at %s", a.event, a.endpoint)
			continue
		case s == nil:
			fault("%s: arrived at %s, which nobody has subscribed", a.event, a.endpoint)
			continue
		case s.owner == deniedOwner:
			fault("%s: arrived at %s, whose owner may not see it", a.event, a.endpoint)
		}
		if t := s.forbidden(a); t != nil {
			late := a.at.Sub(t.at.most).Round(time.Millisecond)
			fault("%s: arrived at %s, which %s before was %s with the URL %s", a.event, a.endpoint, late, t.state, t.url)
		}
		counts[place{ev, s}]++
	}
	for p, n := range counts {
		if allowed := p.ev.attempts[p.s.id] + p.ev.cuts[p.s.id] + p.ev.cuts[uuid.Nil]; n > allowed {
			fault("%s: arrived %d times at %s, with %d attempts and %d cuts%s",
				p.ev.id, n, p.s.key, p.ev.attempts[p.s.id], allowed-p.ev.attempts[p.s.id], w.trace(p.ev, p.s))
		}
		w.did["arrivals"] += n
		w.did["arrivals not recorded"] += max(n-p.ev.attempts[p.s.id], 0)
	}
	accepted := map[place]int{}
	for _, a := range w.receiver.all() {
		if p := (place{events[a.event], byURL[a.endpoint]}); a.accepted && p.ev != nil && p.s != nil {
			accepted[p]++
		}
	}
	for p, n := range accepted {
		if cuts := p.ev.cuts[p.s.id] + p.ev.cuts[uuid.Nil]; n > p.ev.wanted[p.s.id]+cuts {
			fault("%s: was accepted %d times by %s and in flight at %d cuts%s", p.ev.id, n, p.s.key, cuts, w.trace(p.ev, p.s))
		}
		w.did["accepted again"] += n - 1
	}
	for _, ev := range events {
		for _, s := range w.listeners {
			if ev.became[s.id] == "delivered" && accepted[place{ev, s}] == 0 {
				fault("%s: is delivered to %s, which has accepted nothing", ev.id, s.key)
			}
		}
	}
}

// trace tells when an event arrived at a subscription and what was recorded of it.
func (w *world) trace(ev *eventOf, s *sub) string {
	var text strings.Builder
	for _, a := range w.receiver.all() {
		if a.event == ev.id && strings.HasPrefix(a.endpoint, s.key+".") {
			fmt.Fprintf(&text, "\n\t%s arrived, accepted: %t", a.at.UTC().Format("15:04:05.000"), a.accepted)
		}
	}
	rows, err := w.pool.Query(w.t.Context(), `
		SELECT to_char(a.started_at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS') || ' attempt ' || a.seq || ' ' || a.outcome || ' '
			|| split_part(a.error, ':', 1) || ' by ' || a.engine || ', ' || a.duration_us / 1000 || ' ms'
		FROM app.all_attempt a JOIN app.all_delivery d ON d.id = a.delivery_id WHERE d.intent_id = $1 AND d.subscription_id = $2
		UNION ALL
		SELECT to_char(d.created_at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS') || ' delivery ' || d.id || ' ' || d.state || ' ' || d.reason || ', seq '
			|| d.attempt_seq || ', erased ' || d.erased || ', ended ' || coalesce(to_char(d.ended_at AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), '')
		FROM app.all_delivery d WHERE d.intent_id = $1 AND d.subscription_id = $2
		ORDER BY 1`, ev.intent, s.id)
	require.NoError(w.t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	for _, line := range lines {
		fmt.Fprintf(&text, "\n\t%s", line)
	}
	return text.String()
}

// forbidden returns the change after which a request must not begin any more.
func (s *sub) forbidden(a arrival) *touch {
	for i := range s.touches {
		t := &s.touches[i]
		if !a.at.After(t.at.most.Add(slack)) || i+1 < len(s.touches) && a.at.After(s.touches[i+1].at.least) {
			continue
		}
		if t.state != "active" || t.url != a.endpoint {
			return t
		}
	}
	return nil
}

// judgeRows looks for rows without parents, for ends without a reason, and for what
// would never be pruned.
func (w *world) judgeRows(fault func(format string, args ...any)) {
	for what, query := range map[string]string{
		"attempts without a delivery": `SELECT count(*) FROM riverhook.attempt a
			WHERE NOT EXISTS (SELECT FROM riverhook.delivery d WHERE d.id = a.delivery_id)`,
		"deliveries without an intent": `SELECT count(*) FROM riverhook.delivery d
			WHERE NOT EXISTS (SELECT FROM riverhook.intent i WHERE i.id = d.intent_id)`,
		"deliveries without a message": `SELECT count(*) FROM riverhook.delivery d
			WHERE NOT EXISTS (SELECT FROM riverhook.message m WHERE m.intent_id = d.intent_id AND m.dialect = d.dialect)`,
		"decisions without an intent": `SELECT count(*) FROM riverhook.decision c
			WHERE NOT EXISTS (SELECT FROM riverhook.intent i WHERE i.id = c.intent_id)`,
		"messages without an intent": `SELECT count(*) FROM riverhook.message m
			WHERE NOT EXISTS (SELECT FROM riverhook.intent i WHERE i.id = m.intent_id)`,
		"secrets of deleted subscriptions": `SELECT count(*) FROM riverhook.secret k
			JOIN riverhook.subscription s ON s.id = k.subscription_id WHERE s.deleted_at IS NOT NULL`,
		"second ends of one round": `SELECT count(*) FROM app.twice`,
		"ends without a reason": `SELECT count(*) FROM app.all_delivery
			WHERE state IN ('cancelled', 'exhausted', 'expired') AND reason = '' AND NOT erased`,
		"exhausted before their schedule": fmt.Sprintf(`SELECT count(*) FROM app.all_delivery d JOIN app.all_intent i ON i.id = d.intent_id
			WHERE d.state = 'exhausted' AND d.attempts <= %d`, len(retries.Delays)),
		"delivered more than once a round": `SELECT count(*) FROM (
			SELECT a.delivery_id FROM app.all_attempt a JOIN app.all_delivery d ON d.id = a.delivery_id
			WHERE a.outcome = 'delivered' AND NOT EXISTS (
				SELECT FROM app.cut c WHERE c.intent_id = d.intent_id AND coalesce(c.subscription_id, d.subscription_id) = d.subscription_id)
			GROUP BY a.delivery_id, a.round HAVING count(*) > 1) x`,
	} {
		if n := w.count(query); n > 0 {
			fault("%d %s", n, what)
		}
	}
}

// judgeErased looks for the markers of erased resources in every column there is.
func (w *world) judgeErased(fault func(format string, args ...any)) {
	rows, err := w.pool.Query(w.t.Context(), `
		SELECT c.table_name::text, c.column_name::text, c.data_type = 'bytea' FROM information_schema.columns c
		JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = 'riverhook' AND t.table_type = 'BASE TABLE'`)
	require.NoError(w.t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
		Table, Column string
		Bytes         bool
	}])
	require.NoError(w.t, err)
	for _, c := range columns {
		text := pgx.Identifier{c.Column}.Sanitize() + "::text"
		if c.Bytes {
			text = "encode(" + pgx.Identifier{c.Column}.Sanitize() + ", 'escape')"
		}
		rows, err := w.pool.Query(w.t.Context(), `SELECT DISTINCT (regexp_matches(`+text+`, 'pii-r[0-9]+-', 'g'))[1]
			FROM riverhook.`+pgx.Identifier{c.Table}.Sanitize())
		require.NoError(w.t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(w.t, err)
		for _, marker := range found {
			if w.erased[marker] {
				fault("%s: was erased and is in %s.%s", marker, c.Table, c.Column)
			}
		}
		w.did["markers found"] += len(found)
	}
}

// judgeQuestions holds what Ask has said against what gates have.
func (w *world) judgeQuestions(fault func(format string, args ...any)) {
	w.receiver.mu.Lock()
	defer w.receiver.mu.Unlock()
	for id, vetoed := range w.vetoes {
		if vetoed && !w.receiver.vetoed[id] {
			fault("question %s: no gate has vetoed it", id)
		}
		if n := w.receiver.asked[id]; n > 2 {
			fault("question %s: two gates were asked %d times", id, n)
		}
	}
}

// report says how much there was.
func (w *world) report(events map[string]*eventOf) {
	states, became := map[string]int{}, map[string]int{}
	for _, ev := range events {
		states[ev.state]++
		for _, text := range ev.became {
			became[text]++
		}
	}
	for what, counts := range map[string]map[string]int{"events": states, "became": became, "deeds": w.did} {
		var text strings.Builder
		for _, key := range slices.Sorted(maps.Keys(counts)) {
			fmt.Fprintf(&text, " %s=%d", strings.ReplaceAll(key, " ", "_"), counts[key])
		}
		w.t.Logf("%s:%s", what, text.String())
	}
	w.t.Logf("cut off while they were under way: %d", w.count(`SELECT count(DISTINCT (number, intent_id, subscription_id)) FROM app.cut`))
	w.t.Logf("the largest engine: %d of %d MiB", w.largestEngine>>20, mostMemory>>20)
}
