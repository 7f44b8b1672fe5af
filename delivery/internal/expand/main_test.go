package expand_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/send/sendtest"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is an expander and a reevaluator of real parts, without an engine, whose
// subscriptions are paused: each delivery is held, and no request is made.
type bundle struct {
	*expand.Expander

	again       *expand.Reevaluator
	checks      func(r access.Request) error
	pool        *pgxpool.Pool
	subs        *subscription.Store
	t           *testing.T
	ancestors   func(p hierarchy.Path) ([]hierarchy.Path, error)
	externalize decide.Externalize
}

// Check is that of the application.
func (b *bundle) Check(_ context.Context, r access.Request) error {
	if b.checks == nil {
		return nil
	}
	return b.checks(r)
}

// Ancestors is that of a tree of the application.
func (b *bundle) Ancestors(_ context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	if b.ancestors != nil {
		return b.ancestors(p)
	}
	return p.Ancestors(), nil
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, pool: pgtest.Pool(t)}
	parts := sendtest.New(t, b.pool, 10, b)
	b.subs = parts.Subscriptions
	require.NoError(t, parts.Checkers.RegisterDefault(b))
	parts.Decider.Messages.Externalizer = func(string, string, string) decide.Externalize { return b.externalize }
	steps := &expand.Steps{
		Intents: expand.NewIntents(&expand.IntentsConfig{
			Batch:    parts.Batch,
			Calls:    parts.Calls,
			Frequent: parts.Frequent,
			Payloads: parts.Payloads,
			Store:    parts.Queries,
			Turns:    turns.NewAdmission(10),
		}),
		Finder:  parts.Finder,
		Decider: parts.Decider,
		Committer: expand.NewCommitter(&expand.CommitterConfig{
			Batch:  parts.Batch,
			DB:     b.pool,
			NewID:  uuid.New,
			Schema: sendtest.Schema,
		}),
		Sender: parts.Sender,
		Limits: expand.Limits{ChunkSize: 500, ReevaluateAfter: time.Second},
		Log:    parts.Log,
	}
	t.Cleanup(steps.Intents.Close)
	t.Cleanup(steps.Committer.Close)
	b.Expander = &expand.Expander{
		Steps:     steps,
		At:        func(string) {},
		Down:      func() bool { return false },
		Retention: func(_ string, registered expand.Retention) expand.Retention { return registered },
	}
	b.again = &expand.Reevaluator{
		Steps:         steps,
		Subscriptions: b.subs,
		Wait:          func(d time.Duration) time.Duration { return d },
	}
	return b
}

// subscribe makes a paused subscription of ada to all events.
func (b *bundle) subscribe(change func(s *subscription.Spec)) subscription.Subscription {
	b.t.Helper()
	spec := subscription.Spec{
		URL:     "https://example.com",
		Events:  []string{"**"},
		Owner:   "ada",
		Dialect: "plain",
	}
	if change != nil {
		change(&spec)
	}
	sub, err := b.subs.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	_, err = b.subs.Pause(b.t.Context(), sub.ID)
	require.NoError(b.t, err)
	return sub.Subscription
}

// intent is one that was enqueued, with its job.
type intent struct {
	id uuid.UUID
	by callbacks.JobRef
}

// enqueue commits an event. Its job runs.
func (b *bundle) enqueue() (in intent) {
	b.t.Helper()
	client, err := outbox.New(nil)
	require.NoError(b.t, err)
	tx, err := b.pool.Begin(b.t.Context())
	require.NoError(b.t, err)
	result, err := client.Enqueue(b.t.Context(), tx, outbox.Intent{
		Type:     "user.created",
		Resource: access.Resource{Kind: "user", ID: "7"},
		Data:     map[string]int{"id": 7},
	})
	require.NoError(b.t, err)
	require.NoError(b.t, tx.Commit(b.t.Context()))
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT i.id, s.job_id FROM riverhook.intent i
		JOIN riverhook.intent_state s ON s.intent_id = i.id WHERE i.wire_id = $1`, result.ID).Scan(&in.id, &in.by.JobID))
	return in
}

// state is that of the expansion of an intent, with its reason.
func (b *bundle) state(in intent) (state, reason string) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(),
		`SELECT state, reason FROM riverhook.intent_state WHERE intent_id = $1`, in.id).Scan(&state, &reason))
	return state, reason
}

// outcomes are those of an intent for subscriptions: the hold of a delivery, or the outcome
// of another decision with its reason.
func (b *bundle) outcomes(in intent) map[uuid.UUID]string {
	b.t.Helper()
	rows, err := b.pool.Query(b.t.Context(), `SELECT subscription_id, state || ', ' || hold FROM riverhook.delivery WHERE intent_id = $1
		UNION ALL SELECT subscription_id, outcome || ': ' || reason FROM riverhook.decision WHERE intent_id = $1`, in.id)
	require.NoError(b.t, err)
	defer rows.Close()
	all := map[uuid.UUID]string{}
	for rows.Next() {
		var (
			id      uuid.UUID
			outcome string
		)
		require.NoError(b.t, rows.Scan(&id, &outcome))
		all[id] = outcome
	}
	require.NoError(b.t, rows.Err())
	return all
}
