package maintain

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// causes is a database in which things are held for causes.
type causes struct {
	*database

	queries *store.Queries
	records *record.Recorder
}

func newCauses(t *testing.T) *causes {
	t.Helper()
	db := newDatabase(t)
	c := &causes{
		database: db,
		queries:  store.Frequent(db, "riverhook"),
		records: record.NewRecorder(&record.Config{
			Batch:   batch.Config{},
			DB:      db.Pool,
			Engine:  "test",
			Log:     silent,
			NewID:   uuid.New,
			Passing: func(error) bool { return false },
			Schema:  "riverhook",
			Timeout: time.Minute,
		}),
	}
	t.Cleanup(c.records.Close)
	return c
}

// heldFor makes deliveries of a share that are held for a cause, with intents, and returns
// their ids, oldest first.
func (c *causes) heldFor(subscription uuid.UUID, cause, share string, n int) (ids []uuid.UUID) {
	c.t.Helper()
	rows, err := c.Query(context.Background(), `
		WITH n AS MATERIALIZED (SELECT riverhook.new_id() AS intent FROM generate_series(1, $4)),
		i AS (
			INSERT INTO riverhook.intent (id, wire_id, type, site, occurred_at, share)
			SELECT n.intent, n.intent::text, 'user.created', '/', now(), $3 FROM n),
		d AS (
			INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, hold, held_since, cause, cause_share)
			SELECT riverhook.new_id(), n.intent, $1, 'standard', '/', 1, 'cause', now(), $2, $3 FROM n
			RETURNING id, intent_id)
		SELECT d.id FROM d ORDER BY d.intent_id`, subscription, cause, share, n)
	require.NoError(c.t, err)
	defer rows.Close()
	for rows.Next() {
		var id uuid.UUID
		require.NoError(c.t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(c.t, rows.Err())
	return ids
}

// waitingFor makes decisions of a share that are held for a cause, with intents.
func (c *causes) waitingFor(subscription uuid.UUID, cause, share string, n int) {
	c.t.Helper()
	c.exec(`
		WITH n AS MATERIALIZED (SELECT riverhook.new_id() AS intent FROM generate_series(1, $4)),
		i AS (
			INSERT INTO riverhook.intent (id, wire_id, type, site, occurred_at, share)
			SELECT n.intent, n.intent::text, 'user.created', '/', now(), $3 FROM n),
		s AS (INSERT INTO riverhook.intent_state (intent_id, state, job_id) SELECT n.intent, 'expanded', 0 FROM n)
		INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, reason, matched_site, held_since, cause, cause_share)
		SELECT n.intent, $1, 'waiting', 'why', '/', now(), $2, $3 FROM n`, subscription, cause, share, n)
}

// process is an engine that has things, in which some that are asked give no answer.
type process struct {
	*CauseProber

	c      *causes
	name   string // "": its jobs are for everybody
	has    []string
	broken map[string]bool // by cause, or by the id of a delivery
	jobs   []*rivertype.JobRow
	ran    []uuid.UUID // deliveries and intents, in the order in which their jobs ran
}

// process makes an engine.
func (c *causes) process(name string, has ...string) *process {
	p := &process{
		c:      c,
		name:   name,
		has:    has,
		broken: map[string]bool{},
	}
	p.CauseProber = NewCauseProber(&CauseProberConfig{
		Adopt: func(release func(process string) ([]*rivertype.JobRow, error)) error {
			jobs, err := release(name)
			p.jobs = append(p.jobs, jobs...)
			return err
		},
		First: 5 * time.Second,
		Log:   silent,
		Serve: p.serve,
		Store: c.queries,
		Wait:  func(d time.Duration) time.Duration { return d },
	})
	return p
}

func (p *process) serve(cause attempt.Cause) Service {
	switch {
	case cause.Kind == attempt.CauseTree || cause.Kind == attempt.CauseCheck && slices.Contains(p.has, "checker:"+cause.Name):
		return Asks
	case slices.Contains(p.has, cause.String()):
		return Has
	default:
		return Lacks
	}
}

// turn is a round. It returns how many jobs the round has made.
func (p *process) turn() int {
	p.c.t.Helper()
	before := len(p.jobs)
	_, err := p.Run(context.Background())
	require.NoError(p.c.t, err)
	return len(p.jobs) - before
}

// work runs the jobs that were released into the process, as its engine would.
func (p *process) work() {
	p.c.t.Helper()
	jobs := p.jobs
	p.jobs = nil
	for _, job := range jobs {
		p.run(job)
		p.c.exec(`UPDATE riverhook.river_job SET state = 'completed', finalized_at = now() WHERE id = $1`, job.ID)
		p.Ended(job.ID, nil)
	}
}

func (p *process) run(job *rivertype.JobRow) {
	p.c.t.Helper()
	var args struct {
		DeliveryID uuid.UUID `json:"delivery_id"`
		IntentID   uuid.UUID `json:"intent_id"`
	}
	require.NoError(p.c.t, json.Unmarshal(job.EncodedArgs, &args))
	if args.DeliveryID == uuid.Nil {
		p.ran = append(p.ran, args.IntentID)
		p.decide(job.ID, args.IntentID)
		return
	}
	p.ran = append(p.ran, args.DeliveryID)
	p.send(job.ID, args.DeliveryID)
}

// works says whether this process can go on with what was held for a cause.
func (p *process) works(cause, id string) bool {
	return p.serve(attempt.ParseCause(cause)) != Lacks && !p.broken[cause] && !p.broken[id]
}

// send records that a delivery is delivered, or is held again.
func (p *process) send(job int64, id uuid.UUID) {
	p.c.t.Helper()
	t := &attempt.Target{ID: id, Round: 1}
	var cause string
	err := p.c.QueryRow(context.Background(), `SELECT subscription_id, attempt_seq, cause FROM riverhook.delivery
		WHERE id = $1 AND state = 'pending' AND hold = '' AND job_id = $2`, id, job).Scan(&t.Sub.ID, &t.Seq, &cause)
	if err != nil { // it was ended, or went on with another job
		require.ErrorContains(p.c.t, err, "no rows")
		return
	}
	tr := t.HoldForCause(attempt.ParseCause(cause), "why")
	if p.works(cause, id.String()) {
		a := attempt.New(t, time.Now())
		a.Outcome = attempt.OutcomeDelivered
		tr = t.After(a, attempt.Schedule{}, nil)
	}
	_, err = p.c.records.Record(context.Background(), tr)
	require.NoError(p.c.t, err)
}

// decide decides what waits of an intent for a job: it is denied, or held again.
func (p *process) decide(job int64, intent uuid.UUID) {
	p.c.t.Helper()
	ctx := context.Background()
	rows, err := p.c.Query(ctx, `SELECT subscription_id::text, cause FROM riverhook.decision
		WHERE intent_id = $1 AND outcome = 'waiting' AND job_id = $2`, intent, job)
	require.NoError(p.c.t, err)
	params := &store.CommitRedecisionsParams{IntentID: intent, JobID: job}
	for rows.Next() {
		var subscription, cause string
		require.NoError(p.c.t, rows.Scan(&subscription, &cause))
		outcome := "waiting"
		if p.works(cause, intent.String()) {
			outcome, cause = "denied", ""
		}
		params.DecisionSubscriptions = append(params.DecisionSubscriptions, subscription)
		params.DecisionOutcomes = append(params.DecisionOutcomes, outcome)
		params.DecisionReasons = append(params.DecisionReasons, "why")
		params.DecisionTries = append(params.DecisionTries, 0)
		params.DecisionCauses = append(params.DecisionCauses, cause)
	}
	require.NoError(p.c.t, rows.Err())
	_, err = store.In(p.c, "riverhook").CommitRedecisions(ctx, params)
	require.NoError(p.c.t, err)
}

// pass lets time pass for probes.
func (c *causes) pass(d time.Duration) {
	c.exec(`UPDATE riverhook.cause SET probe_at = probe_at - $1::bigint * interval '1 ms'`, d.Milliseconds())
}

func (c *causes) held() int {
	return c.count(`SELECT (SELECT count(*) FROM riverhook.delivery WHERE hold = 'cause')
		+ (SELECT count(*) FROM riverhook.decision WHERE outcome = 'waiting' AND due_at IS NULL)`)
}

func (c *causes) jobs() int { return c.count(`SELECT count(*) FROM riverhook.river_job`) }

func TestCauseProber_WhatIsMissingIsReleasedByTheEngineThatHasIt(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	var ofLoud []uuid.UUID
	loud := c.heldFor(sub, "schedule:weekly", "loud", 60)
	quiet := c.heldFor(sub, "schedule:weekly", "quiet", 2)
	lacks, other := c.process("lacks"), c.process("other", "schedule:daily")
	has := c.process("has", "schedule:weekly")

	for range 5 {
		require.Zero(t, lacks.turn()+other.turn())
	}
	require.Zero(t, c.jobs(), "what waits costs no job")
	require.Equal(t, maxReleased, has.turn())
	require.Zero(t, has.turn(), "no more of them are under way at once")
	require.Equal(t, maxReleased, c.count(`SELECT count(*) FROM riverhook.river_job
		WHERE state = 'running' AND attempted_by = '{has}' AND attempt = 1 AND tags[1] LIKE 'share_%'`), "nobody else fetches them")
	has.work()
	for has.turn() > 0 {
		has.work()
	}

	require.Zero(t, c.held())
	require.Equal(t, 62, c.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND held_since IS NULL`))
	for _, id := range has.ran {
		if !slices.Contains(quiet, id) {
			ofLoud = append(ofLoud, id)
		}
	}
	require.Equal(t, loud, ofLoud, "those of a share are in order")
	require.Less(t, slices.Index(has.ran, quiet[1]), maxReleased, "the quiet share has its turn")
	require.Equal(t, 62, c.jobs())
}

func TestCauseProber_WhatCannotBeAskedIsProbedByFewRows(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	held := c.heldFor(sub, "check:user", "a", 100)
	c.waitingFor(sub, "check:user", "a", 10)
	p := c.process("p", "checker:user")
	p.broken["check:user"] = true
	p.begun = true // it was here before

	require.Zero(t, p.turn(), "what has just failed is not asked again at once")
	c.pass(5 * time.Second)
	probes := 0
	for i, seconds := range []int{10, 20, 40, 80, 160, 300, 300} {
		wait := time.Duration(seconds) * time.Second
		require.Equal(t, min(1<<i, maxProbed), p.turn())
		require.Zero(t, p.turn(), "the probe is under way")
		p.work()
		require.Zero(t, p.turn())
		c.pass(wait / 2)
		require.Zero(t, p.turn(), wait)
		c.pass(wait / 2)
		probes += min(1<<i, maxProbed)
	}
	require.Equal(t, probes, c.jobs())
	require.Equal(t, 110, c.held())
	require.Zero(t, c.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Zero(t, c.count(`SELECT count(*) FROM riverhook.delivery WHERE attempts > 0`))
	require.Zero(t, c.count(`SELECT count(*) FROM riverhook.subscription_health`))

	p.broken = map[string]bool{}
	tried := p.ran
	p.ran = nil
	for range 10 {
		p.turn()
		p.work()
	}

	require.Zero(t, c.held())
	require.Equal(t, 10, c.count(`SELECT count(*) FROM riverhook.decision WHERE outcome = 'denied'`))
	require.Equal(t, 100, c.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered' AND attempts = 1`))
	untried := func(ids []uuid.UUID) []uuid.UUID {
		return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return !slices.Contains(held, id) || slices.Contains(tried, id) })
	}
	require.NotEmpty(t, untried(held))
	require.Equal(t, untried(held), untried(p.ran), "in order")
}

// An engine that seems to have what is missing, such as a checker which asks others and finds
// none, releases a batch, and then a few rows now and then.
func TestCauseProber_WhatIsHeldAgainByTheEngineThatHasItIsProbed(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	c.heldFor(c.subscribe(), "checker:user", "a", 100)
	p := c.process("p", "checker:user")
	p.broken["checker:user"] = true
	for range 10 {
		p.turn()
		p.work()
	}
	require.Equal(t, maxReleased, c.jobs())
	c.pass(5 * time.Second)
	for range 10 {
		p.turn()
		p.work()
	}
	require.Equal(t, maxReleased+1, c.jobs(), "a probe")
	require.Equal(t, 100, c.held())

	p.broken = map[string]bool{}
	c.pass(10 * time.Second)
	for range 10 {
		p.turn()
		p.work()
	}
	require.Zero(t, c.held())
}

func TestCauseProber_TheEngineThatStartsProbesAtOnce(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	c.heldFor(c.subscribe(), "check:user", "a", 3)
	old := c.process("old", "checker:user")
	old.broken["check:user"] = true
	for range 3 {
		old.turn()
		old.work()
	}
	require.Equal(t, 3, c.held())
	require.Equal(t, 1, c.jobs())

	c.process("lacks").turn()
	require.Equal(t, 1, c.jobs())
	fixed := c.process("new", "checker:user")
	for range 3 {
		fixed.turn()
		fixed.work()
	}

	require.Zero(t, c.held())
	require.Zero(t, old.turn())
}

// A row that alone fails goes behind the others, and one that fails less often than others
// go on does not stop them.
func TestCauseProber_ARowThatFailsAloneKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	held := c.heldFor(c.subscribe(), "check:user", "a", 50)
	p := c.process("p", "checker:user")
	p.broken[held[0].String()] = true

	for range 5 {
		p.turn()
		p.work()
		c.pass(time.Minute)
	}

	require.Equal(t, 1, c.held())
	require.Equal(t, held, p.ran[:len(held)], "it is tried again after all others")
	before := c.jobs()
	for range 10 {
		p.turn()
		p.work()
	}
	require.LessOrEqual(t, c.jobs(), before+2, "alone it is not tried all the time")
	require.Equal(t, 49, c.count(`SELECT count(*) FROM riverhook.delivery WHERE state = 'delivered'`))
}

// Checkers that fail for ten shares, such as the directories of ten tenants, keep what is held of
// another one waiting for a few probes, and not until they have ended.
func TestCauseProber_SharesOfWhichAllFailKeepNoOtherWaiting(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	p := c.process("p", "checker:user")
	for i := range 10 {
		for _, id := range c.heldFor(sub, "check:user", fmt.Sprint("broken", i), 30) {
			p.broken[id.String()] = true
		}
	}
	c.heldFor(sub, "check:user", "quiet", 100)
	left := func() int {
		return c.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'cause' AND cause_share = 'quiet'`)
	}
	passed := time.Duration(0)
	for ; left() > 0; passed += 5 * time.Second {
		for p.turn() > 0 {
			p.work()
		}
		c.pass(5 * time.Second)
	}
	require.LessOrEqual(t, passed, 2*time.Minute)
	require.Less(t, c.jobs(), 100+150, "few of those that fail are tried meanwhile")
}

// Those that were released while a cause seemed to be over are held again; then it is not.
func TestCauseProber_IsWrongAboutABatchAtMost(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	c.heldFor(c.subscribe(), "check:user", "a", 500)
	p := c.process("p", "checker:user")
	p.turn()
	p.work()
	require.Equal(t, maxReleased, p.turn())
	p.broken["check:user"] = true

	for range 20 {
		p.work()
		p.turn()
	}

	require.Equal(t, 1+maxReleased, c.jobs())
	require.Equal(t, 499, c.held())
}

// Who holds writes its own row alone, so what is held while others are released is found by
// what is held: here it is committed after the round that has forgotten the cause.
func TestCauseProber_WhatIsHeldMeanwhileIsFound(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	first := c.heldFor(sub, "schedule:weekly", "a", 1)
	p := c.process("p", "schedule:weekly")
	late := c.heldFor(sub, "schedule:weekly", "a", 1)
	c.exec(`UPDATE riverhook.delivery SET hold = '', job_id = 7, due_at = now() WHERE id = $1`, late[0])
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.Background()) }()
	_, err = tx.Exec(t.Context(), `UPDATE riverhook.delivery SET hold = 'cause', job_id = NULL, due_at = NULL WHERE id = $1`, late[0])
	require.NoError(t, err)
	p.turn()
	p.work()
	require.Equal(t, first, p.ran)
	c.pass(time.Hour)
	p.turn()
	require.Zero(t, c.count(`SELECT count(*) FROM riverhook.cause`), "nothing was seen to be held")

	require.NoError(t, tx.Commit(t.Context()))
	p.turn()
	p.work()

	require.Equal(t, append(first, late...), p.ran)
	require.Zero(t, c.held())
}

// What others have locked is not waited for, of however many shares it is.
func TestCauseProber_WhatIsLockedIsLeftForTheNextRound(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	for i := range 2*causeShares + 10 {
		c.heldFor(sub, "schedule:weekly", fmt.Sprint("s", i), 1)
	}
	p := c.process("p", "schedule:weekly")
	tx, err := c.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `SELECT FROM riverhook.delivery FOR UPDATE`)
	require.NoError(t, err)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		n, err := p.Run(ctx)
		cancel()
		require.NoError(t, err)
		require.Zero(t, n)
	}
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, maxReleased, p.turn())
}

// An engine that dies in a probe delays the next one by its wait, and what it had under way is
// handed on; an engine that lacks the cause holds it again, since when it was.
func TestCauseProber_AnEngineThatDiesInAProbeLosesNothing(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	held := c.heldFor(c.subscribe(), "check:user", "a", 3)
	c.exec(`UPDATE riverhook.delivery SET held_since = now() - interval '1 day'`)
	dead := c.process("dead", "checker:user")
	require.Equal(t, 1, dead.turn())

	next := c.process("next", "checker:user")
	next.begun = true
	require.Zero(t, next.turn(), "the probe may be under way")
	lacks := c.process("lacks")
	lacks.jobs = dead.jobs // as the heartbeat hands them on
	lacks.work()
	require.Equal(t, 3, c.held())
	require.Equal(t, 3, c.count(`SELECT count(*) FROM riverhook.delivery WHERE held_since < now() - interval '23 h'`))
	c.pass(10 * time.Second)
	for range 4 {
		next.turn()
		next.work()
	}

	require.Zero(t, c.held())
	require.ElementsMatch(t, held, next.ran)
}

// What becomes of what a probe has under way, and of what waits meanwhile.
func TestCauseProber_WhatIsEndedMeanwhileStaysEnded(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]string{
		"cancelled": `UPDATE riverhook.delivery SET attempt_seq = attempt_seq + 1, state = 'cancelled', hold = '', held_since = NULL,
			due_at = NULL, job_id = NULL`,
		"expired": `UPDATE riverhook.delivery SET held_since = now() - interval '2 h'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCauses(t)
			c.heldFor(c.subscribe(), "check:user", "a", 3)
			p := c.process("p", "checker:user")
			require.Equal(t, 1, p.turn())
			c.exec(end)
			expirer := HeldExpirer{
				MaxHold: time.Hour,
				Pace:    Whole,
				Store:   c.queries,
			}
			_, err := expirer.Run(t.Context())
			require.NoError(t, err)
			p.broken["check:user"] = true
			for range 3 {
				p.work()
				p.turn()
			}
			_, err = expirer.Run(t.Context())
			require.NoError(t, err)

			require.Zero(t, c.held())
			require.Equal(t, 3, c.count(`SELECT count(*) FROM riverhook.delivery WHERE state = $1 AND attempts = 0`, name))
			if name == "expired" {
				require.Equal(t, 3, c.count(`SELECT count(*) FROM riverhook.delivery WHERE reason LIKE 'held for too long: %'`))
			}
		})
	}
}

func TestDecisionExpirer_FailsWhatIsHeldForTooLong(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	c.waitingFor(sub, "checker:user", "a", 2)
	c.exec(`UPDATE riverhook.decision SET held_since = now() - interval '2 h'`)
	c.waitingFor(sub, "checker:user", "a", 1)
	x := DecisionExpirer{
		MaxHold: time.Hour,
		Pace:    Whole,
		Store:   c.queries,
	}

	n, err := x.Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, 2, c.count(`SELECT count(*) FROM riverhook.decision WHERE outcome = 'failed' AND reason = 'held for too long: why'`))
	require.Equal(t, 1, c.held())
}

func TestCauseReviewer_FollowsItsSubscriptions(t *testing.T) {
	t.Parallel()
	const key = "010203040506070a"
	for name, tc := range map[string]struct {
		cause, change string
		want          string // state of the delivery and outcome of the decision
	}{
		"nothing":            {"schedule:weekly", ``, "held waiting"},
		"deleted":            {"schedule:weekly", `UPDATE riverhook.subscription SET deleted_at = now()`, "cancelled inactive"},
		"deactivated":        {"checker:user", `UPDATE riverhook.subscription SET state = 'deactivated'`, "cancelled inactive"},
		"paused":             {"checker:user", `UPDATE riverhook.subscription SET state = 'paused'`, "held waiting"},
		"another schedule":   {"schedule:weekly", `UPDATE riverhook.subscription SET schedule = 'daily'`, "due due"},
		"another dialect":    {"dialect:bare", `UPDATE riverhook.subscription SET dialect = 'plain'`, "held waiting"},
		"the operator's":     {"checker:user", `UPDATE riverhook.subscription SET operator = true, owner = ''`, "due due"},
		"the same key":       {"key:" + key, ``, "held waiting"},
		"in capitals":        {"key:" + strings.ToUpper(key), ``, "held waiting"},
		"another secret":     {"key:" + key, `UPDATE riverhook.secret SET value = decode('ff' || '` + key + `', 'hex')`, "due due"},
		"an expired secret":  {"key:" + key, `UPDATE riverhook.secret SET expires_at = now()`, "due due"},
		"what cannot be put": {"tree:", `UPDATE riverhook.subscription SET schedule = 'daily'`, "held waiting"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCauses(t)
			sub := c.subscribe()
			c.exec(`UPDATE riverhook.subscription SET schedule = 'weekly', dialect = 'bare', operator = false, owner = 'ada'`)
			c.exec(`INSERT INTO riverhook.secret (id, subscription_id, value, sealed)
				VALUES (gen_random_uuid(), $1, decode($2 || 'aabb', 'hex'), true)`, sub, key)
			c.heldFor(sub, tc.cause, "a", 1)
			c.waitingFor(sub, tc.cause, "a", 1)
			if tc.change != "" {
				c.exec(tc.change)
			}
			r := CauseReviewer{Pace: Whole, Store: c.queries}

			for range 2 {
				_, err := r.Run(t.Context())
				require.NoError(t, err)
			}

			var got string
			require.NoError(t, c.QueryRow(t.Context(), `SELECT
				(SELECT CASE WHEN hold = 'cause' THEN 'held' WHEN due_at IS NOT NULL THEN 'due' ELSE state END FROM riverhook.delivery) || ' '
				|| (SELECT CASE WHEN due_at IS NOT NULL THEN 'due' ELSE outcome END FROM riverhook.decision)`).Scan(&got))
			require.Equal(t, tc.want, got)
			require.Equal(t, strings.Count(got, "due"), c.jobs())
		})
	}
}

// A decision that waits for a dialect goes on with that of its subscription; a delivery keeps
// the dialect of its message.
func TestCauseReviewer_ADecisionTakesTheDialectOfItsSubscription(t *testing.T) {
	t.Parallel()
	c := newCauses(t)
	sub := c.subscribe()
	c.waitingFor(sub, "dialect:bare", "a", 1)
	r := CauseReviewer{Pace: Whole, Store: c.queries}

	n, err := r.Run(t.Context())

	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, c.held())
}
