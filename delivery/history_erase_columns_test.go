package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// secretName is in everything personal that these tests plant: data, attributes,
// answers and the words of host code.
const secretName = "lovelace"

// columnsWith returns every column of the schema that contains a text, in any row, in
// the form "table.column". It asks the catalog, so that it finds columns that are added later.
func (b *bundle) columnsWith(text string) []string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `
		SELECT c.table_name::text, c.column_name::text FROM information_schema.columns c
		JOIN information_schema.tables t USING (table_schema, table_name)
		WHERE c.table_schema = 'riverhook' AND t.table_type = 'BASE TABLE'
		ORDER BY 1, 2`)
	require.NoError(b.t, err)
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	require.NoError(b.t, err)
	require.NotEmpty(b.t, columns)
	found := []string{}
	for _, c := range columns {
		// bytea is shown in hex; the first letter of a name can be a capital.
		query := fmt.Sprintf(`SELECT count(*) FROM riverhook.%s r
			WHERE r.%[2]s::text ILIKE '%%' || $1 || '%%' OR r.%[2]s::text LIKE '%%' || encode(substr($1, 2)::bytea, 'hex') || '%%'`,
			pgx.Identifier{c.Table}.Sanitize(), pgx.Identifier{c.Column}.Sanitize())
		if b.count(query, text) > 0 {
			found = append(found, c.Table+"."+c.Column)
		}
	}
	return found
}

// requireForgotten looks for what was personal in every column there is.
func (b *bundle) requireForgotten() {
	b.t.Helper()
	require.Empty(b.t, b.columnsWith(secretName))
}

// requireNoOrphans looks for rows whose parents are gone: nothing would ever erase
// or prune them.
func (b *bundle) requireNoOrphans() {
	b.t.Helper()
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
		"states without an intent": `SELECT count(*) FROM riverhook.intent_state s
			WHERE NOT EXISTS (SELECT FROM riverhook.intent i WHERE i.id = s.intent_id)`,
		"intents without a state": `SELECT count(*) FROM riverhook.intent i
			WHERE NOT EXISTS (SELECT FROM riverhook.intent_state s WHERE s.intent_id = i.id)`,
		"secrets of deleted subscriptions": `SELECT count(*) FROM riverhook.secret k
			JOIN riverhook.subscription s ON s.id = k.subscription_id WHERE s.deleted_at IS NOT NULL`,
		"credentials of deleted subscriptions": `SELECT count(*) FROM riverhook.endpoint_auth a
			JOIN riverhook.subscription s ON s.id = a.subscription_id WHERE s.deleted_at IS NOT NULL`,
		"challenges of deleted subscriptions": `SELECT count(*) FROM riverhook.endpoint_challenge c
			JOIN riverhook.subscription s ON s.id = c.subscription_id WHERE s.deleted_at IS NOT NULL`,
	} {
		require.Zero(b.t, b.count(query), what)
	}
}

// nothingKept are rules by which all that has ended is pruned, and forgotten at once.
var nothingKept = delivery.HistoryRules{DedupeWindow: time.Nanosecond, MaxAge: time.Nanosecond}

// spread writes what is personal into every column that can hold it, on every way
// there is: deliveries that end in each way, retries, held deliveries, decisions of
// each kind, questions, and the events that the engine writes itself.
func (b *bundle) spread(about access.Resource) {
	b.t.Helper()
	words := errors.New("the directory says " + secretName)
	said := deliverytest.Answer{Body: []byte(secretName), Header: http.Header{"X-Name": {secretName}}}
	refused := deliverytest.Answer{Status: 422, Body: []byte(secretName)}
	as := func(change func(spec *subscription.Spec)) func(spec *subscription.Spec) {
		return func(spec *subscription.Spec) {
			spec.Events = []string{"user.*"}
			change(spec)
		}
	}
	for answer, schedule := range map[*deliverytest.Answer]string{
		&said: "none", &refused: "none", {Status: 500, Body: []byte(secretName)}: "twice", {Raw: []byte(secretName + "\r\n\r\n")}: "none",
		new(phrased("422 no " + secretName)): "none",
	} {
		b.subscribe(b.always(*answer), as(func(spec *subscription.Spec) { spec.Schedule = schedule }))
	}
	quiet := b.receiver(nil)
	for _, change := range []func(spec *subscription.Spec){
		func(spec *subscription.Spec) { spec.Paused = true },
		func(spec *subscription.Spec) { spec.Owner = "denied" },
		func(spec *subscription.Spec) { spec.Owner = "unknown" },
		func(spec *subscription.Spec) { spec.Owner = "undecided" },
		func(spec *subscription.Spec) { spec.Dialect = "cloudevents" },
		func(spec *subscription.Spec) { spec.Filter = `attributes["` + secretName + `"] == "x"` },
	} {
		b.subscribe(quiet, as(change))
	}
	b.subscribe(quiet, func(spec *subscription.Spec) { // it receives the event of the exhausted delivery
		operatorOnly(spec)
		spec.Events = []string{"riverhook.**"}
	})
	b.gate(b.always(deliverytest.Veto(secretName)), nil)
	b.gate(b.always(refused), nil)
	b.gate(quiet, func(spec *subscription.Spec) { spec.Owner = "undecided" })

	revoked := false // while a retry waits
	table := func(owner string) error {
		switch {
		case owner == "denied", revoked:
			return fmt.Errorf("%w: %w", access.ErrDenied, words)
		case owner == "unknown":
			return fmt.Errorf("%w: %w", access.ErrUnknownPrincipal, words)
		case owner == "undecided":
			return words
		default:
			return nil
		}
	}
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(checkerFunc(func(r access.Request) error { return table(r.Principal) }))
		cfg.Externalize.Tries = 1
		cfg.Externalize.Registry = externalize(b.t, "cloudevents", func(context.Context, dialect.Event) ([]byte, error) { return nil, words })
	})
	change := func(in *outbox.Intent) {
		personal(in)
		in.Resource = about
	}
	b.enqueue(change)
	b.drain(engine)
	_, err := engine.Ask(b.t.Context(), delivery.Question{
		Type:       "user.delete",
		Resource:   about,
		Data:       map[string]string{"name": "Lovelace"},
		Attributes: map[string]string{"mail": secretName},
	})
	require.ErrorIs(b.t, err, delivery.ErrVetoed)
	revoked = true
	b.pass(2 * time.Hour)
	b.drain(engine)
	revoked = false
	b.enqueue(change)
	b.drain(engine)
	b.enqueue(func(in *outbox.Intent) {
		change(in)
		in.NotBefore = time.Now().Add(time.Hour)
	})
}

type checkerFunc func(r access.Request) error

func (f checkerFunc) Check(_ context.Context, r access.Request) error { return f(r) }

func TestErase_EveryColumnOfTheSchema(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subject := access.Resource{Kind: "person", ID: "babbage-1791"}
	b.spread(subject)
	require.Equal(t, []string{
		"attempt.error", "attempt.reason_phrase", "attempt.response_body", "attempt.response_headers", "decision.reason", "delivery.reason",
		"intent.attributes", "intent.data", "message.body", "subscription.filter",
	}, b.columnsWith(secretName), "what is planted is there")
	require.Equal(t, []string{"intent.resource_id"}, b.columnsWith(subject.ID))
	b.exec(`UPDATE riverhook.subscription SET filter = ''`) // it is the test's, not of the resource

	b.eraseResource(subject)

	b.requireForgotten()
	require.Equal(t, []string{"intent.resource_id"}, b.columnsWith(subject.ID), "the record of what was sent names the resource")
	b.requireNoOrphans()
	require.Positive(t, b.count(`SELECT count(*) FROM riverhook.attempt`))
	require.Positive(t, b.count(`SELECT count(*) FROM riverhook.intent WHERE type = 'riverhook.delivery.exhausted'`))

	b.prune(b.keeping(nothingKept))

	b.requireForgotten()
	require.Empty(t, b.columnsWith(subject.ID))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.attempt`))
}

// What was not erased goes with pruning, in every column.
func TestPrune_EveryColumnOfTheSchema(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subject := access.Resource{Kind: "person", ID: "babbage-1791"}
	b.spread(subject)
	b.exec(`UPDATE riverhook.subscription SET filter = ''`)
	for _, statement := range []string{ // nothing is pending any more
		`UPDATE riverhook.delivery SET state = 'cancelled', hold = '', held_since = NULL, due_at = NULL, ended_at = now()
		WHERE state = 'pending'`,
		`UPDATE riverhook.decision SET outcome = 'failed' WHERE outcome = 'waiting'`,
		`UPDATE riverhook.intent_state SET state = 'cancelled', ended_at = now() WHERE state = 'pending'`,
	} {
		b.exec(statement)
	}

	b.prune(b.keeping(nothingKept))

	b.requireForgotten()
	require.Empty(t, b.columnsWith(subject.ID))
	b.requireNoOrphans()
	for _, table := range []string{"attempt", "decision", "delivery", "intent", "intent_state", "message"} {
		require.Zero(t, b.count(`SELECT count(*) FROM riverhook.`+table), table)
	}
}

// An answer arrives after its delivery has ended otherwise and was erased, pruned, or
// both, in each order, before and while it is recorded.
func TestErase_AnswersThatArriveLate(t *testing.T) {
	t.Parallel()
	cancelled := func(b *bundle, engine *delivery.Engine) {
		id := b.deliveries(b.text(`SELECT wire_id FROM riverhook.intent`))[0].ID
		require.NoError(b.t, engine.Cancel(b.t.Context(), id, "by hand"))
	}
	erased := func(b *bundle, _ *delivery.Engine) { b.erase() }
	pruned := func(b *bundle, engine *delivery.Engine) { b.prune(engine) }
	type steps []func(b *bundle, engine *delivery.Engine)
	for name, c := range map[string]struct {
		before, after steps // the answer is recorded
		attempts      int
	}{
		"erased before":               {before: steps{erased}, attempts: 1},
		"erased after":                {after: steps{erased}, attempts: 1},
		"erased and pruned before":    {before: steps{erased, pruned}},
		"erased before, pruned after": {before: steps{erased}, after: steps{pruned}},
		"pruned before":               {before: steps{cancelled, pruned}},
		"pruned before, erased after": {before: steps{cancelled, pruned}, after: steps{erased}},
		"pruned after":                {after: steps{pruned}},
		"cancelled before, erased after": {
			before:   steps{cancelled},
			after:    steps{erased},
			attempts: 1,
		},
		"cancelled before, pruned after":    {before: steps{cancelled}, after: steps{pruned}},
		"cancelled, erased, pruned, before": {before: steps{cancelled, erased, pruned}},
	} {
		for _, answer := range []deliverytest.Answer{
			{Body: []byte(secretName), Header: http.Header{"X-Name": {secretName}}},
			{Status: 500, Body: []byte(secretName)},
			{Raw: []byte(secretName + "\r\n\r\n")},
		} {
			t.Run(fmt.Sprintf("%s, %d", name, answer.Status), func(t *testing.T) {
				t.Parallel()
				b := newBundle(t)
				engine := b.keeping(nothingKept)
				b.subscribe(b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
					for _, step := range c.before {
						step(b, engine)
					}
					return answer
				}}), func(spec *subscription.Spec) { spec.Schedule = "none" })
				b.enqueue(personal)
				b.drain(engine)
				for _, step := range c.after {
					step(b, engine)
				}

				b.requireForgotten()
				b.requireNoOrphans()
				require.Equal(t, c.attempts, b.count(`SELECT count(*) FROM riverhook.attempt`))
			})
		}
	}
}

// A gate answers after the resource that it was asked about was erased, while the
// erasure is committed or is not yet.
func TestErase_QuestionsUnderWay(t *testing.T) {
	t.Parallel()
	ask := func(b *bundle, engine *delivery.Engine) {
		_, err := engine.Ask(b.t.Context(), delivery.Question{
			Type:       "user.delete",
			Resource:   ada,
			Data:       map[string]string{"name": "Lovelace"},
			Attributes: map[string]string{"mail": secretName},
		})
		require.ErrorIs(b.t, err, delivery.ErrVetoed)
	}
	answer := deliverytest.Veto(secretName)
	answer.Header.Set("X-Name", secretName)
	gates := func(b *bundle, before func()) *delivery.Engine {
		r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
			before()
			return answer
		}})
		b.gate(r, nil)
		b.gate(r, func(spec *subscription.Spec) { spec.Owner = "undecided" })
		return b.guardedBy(accesstest.Table{"owner": nil, "undecided": errors.New("down: " + secretName)})
	}

	t.Run("committed", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		var once sync.Once
		engine := gates(b, func() { once.Do(func() { b.erase() }) })

		ask(b, engine)

		b.requireForgotten()
		b.requireNoOrphans()
		require.Equal(t, []string{"vetoed"}, b.outcomes(b.questionDelivery()), "that it was asked is recorded")
		in, err := b.reader().Intent(t.Context(), b.text(`SELECT wire_id FROM riverhook.intent`))
		require.NoError(t, err)
		require.Equal(t, delivery.PayloadErased, in.Payload)
		require.Equal(t, "ada", in.ResourceID)

		ask(b, engine)
		require.NotEmpty(t, b.columnsWith(secretName), "what is asked later is kept")
	})

	for _, ends := range []string{"commit", "rollback"} {
		t.Run("open, "+ends, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			tx, err := b.pool.Begin(t.Context())
			require.NoError(t, err)
			_, err = b.outbox.Erase(t.Context(), tx, ada)
			require.NoError(t, err)
			engine := gates(b, func() {})

			ask(b, engine)

			if ends == "commit" {
				require.NoError(t, tx.Commit(t.Context()))
			} else {
				require.NoError(t, tx.Rollback(t.Context()))
			}
			b.requireForgotten()
			require.Equal(t, []string{"vetoed"}, b.outcomes(b.questionDelivery()), "who asks does not wait for the erasure")
		})
	}

	t.Run("another resource", func(t *testing.T) {
		t.Parallel()
		b := newBundle(t)
		engine := gates(b, func() { b.eraseResource(access.Resource{Kind: "user", ID: "bob"}) })
		ask(b, engine)
		require.NotEmpty(t, b.columnsWith(secretName))
	})
}

func (b *bundle) questionDelivery() (id [16]byte) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT id FROM riverhook.delivery`).Scan(&id))
	return id
}

// eraseResource forgets a resource in a transaction of its own.
func (b *bundle) eraseResource(r access.Resource) outbox.Erased {
	b.t.Helper()
	var erased outbox.Erased
	require.NoError(b.t, pgx.BeginFunc(b.t.Context(), b.pool, func(tx pgx.Tx) (err error) {
		erased, err = b.outbox.Erase(b.t.Context(), tx, r)
		return err
	}))
	return erased
}

// Many resources are erased while their events are expanded, asked about, sent,
// answered and pruned, in random order.
func TestErase_RacesAnswersAndPruning(t *testing.T) {
	t.Parallel()
	const resources = 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
	resource := func(i int) access.Resource { return access.Resource{Kind: "user", ID: fmt.Sprintf("person-%d", i)} }
	b := newBundle(t)
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.History, cfg.Maintenance.Interval = nothingKept, 50*time.Millisecond
		cfg.Timeouts.Ask = time.Minute // a busy machine
	})
	answered := func(answer deliverytest.Answer) func(deliverytest.Request) deliverytest.Answer {
		return func(deliverytest.Request) deliverytest.Answer {
			if pick(3) == 0 {
				b.eraseResource(resource(pick(resources)))
			}
			answer := answer
			answer.Delay = time.Duration(pick(30)) * time.Millisecond
			return answer
		}
	}
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: answered(deliverytest.Answer{
		Body: []byte(secretName), Header: http.Header{"X-Name": {secretName}},
	})})
	for range 3 {
		b.subscribe(r, nil)
	}
	b.subscribe(b.receiver(&deliverytest.ReceiverConfig{Answer: answered(deliverytest.Answer{Status: 500, Body: []byte(secretName)})}), nil)
	b.gate(b.receiver(&deliverytest.ReceiverConfig{Answer: answered(deliverytest.Veto(secretName))}), func(spec *subscription.Spec) {
		spec.MaxInFlight = resources // all are asked at once
	})
	b.start(engine)

	stop := make(chan struct{})
	var pruner, work sync.WaitGroup
	pruner.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, err := engine.Prune(t.Context())
				require.NoError(t, err)
			}
		}
	})
	for i := range resources {
		work.Go(func() {
			for range 3 {
				b.enqueue(func(in *outbox.Intent) {
					personal(in)
					in.Resource = resource(i)
				})
			}
			asked, err := engine.Ask(t.Context(), delivery.Question{
				Type:     "user.change",
				Resource: resource(i),
				Data:     secretName,
			})
			require.ErrorIs(t, err, delivery.ErrVetoed, "%+v", asked)
			b.eraseResource(resource(i)) // all that it had until now
		})
	}
	work.Wait()
	b.eventually(func() bool {
		return b.count(`SELECT count(*) FROM riverhook.river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled')`) == 0
	})
	close(stop)
	pruner.Wait()

	b.requireForgotten()
	b.requireNoOrphans()
}
