package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// hostText stands for what errors of the host's code say of its parts.
const hostText = "user=acl_reader host=db-7.internal"

// shown is all that can be seen of a record.
func shown(t *testing.T, record any) string {
	t.Helper()
	text, err := json.Marshal(record)
	require.NoError(t, err)
	return string(text) + fmt.Sprintf("%+v %s", record, record)
}

// told is a subscription of an owner with one event that was delivered to it.
type told struct {
	*bundle

	engine  *delivery.Engine
	checker atomic.Pointer[error] // what each check returns; nil allows

	owner, intent string
	subscription  uuid.UUID
	delivery      uuid.UUID
}

func newTold(t *testing.T) *told {
	t.Helper()
	tl := &told{bundle: newBundle(t), owner: "ada"}
	tl.engine = tl.bundle.engine(func(cfg *delivery.Config) {
		cfg.Access.MaxAge = time.Nanosecond
		cfg.Access.Registry = tl.checkers(access.CheckerFunc(func(context.Context, access.Request) error {
			if err := tl.checker.Load(); err != nil {
				return *err
			}
			return nil
		}))
	})
	_, tl.subscription = tl.subscribeAs(tl.owner)
	tl.intent = tl.enqueue(nil)
	tl.drain(tl.engine)
	tl.delivery = tl.bundle.delivery(tl.intent, tl.subscription).ID
	return tl
}

// requireClass sees that an owner is shown the class of the reason of its delivery, and
// that operators are shown the text.
func (tl *told) requireClass(class string) {
	tl.t.Helper()
	h, mine := tl.engine.History(), tl.engine.As(tl.owner, ownersOnly)
	ctx := tl.t.Context()
	whole, err := h.Delivery(ctx, tl.delivery)
	require.NoError(tl.t, err)
	require.Contains(tl.t, whole.Reason, hostText)
	all, err := h.Explain(ctx, tl.intent)
	require.NoError(tl.t, err)
	require.Contains(tl.t, all.String(), hostText)

	d, err := mine.Delivery(ctx, tl.delivery)
	require.NoError(tl.t, err)
	page, err := mine.Deliveries(ctx, nil)
	require.NoError(tl.t, err)
	x, err := mine.Explain(ctx, tl.intent)
	require.NoError(tl.t, err)
	require.Equal(tl.t, fmt.Sprintf("%s (reference %s)", class, tl.delivery), d.Reason)
	require.Equal(tl.t, []delivery.Delivery{*d}, page.Deliveries)
	require.Contains(tl.t, x.Subscriptions[0].Why, d.Reason)
	for _, record := range []any{*d, *page, *x, x} {
		require.NotContains(tl.t, shown(tl.t, record), hostText)
	}
}

func TestOwner_SeesTheClassOfWhyADeliveryWaitsOrEnded(t *testing.T) {
	t.Parallel()
	tl := newTold(t)
	undecided := errors.New("connect: " + hostText)
	tl.checker.Store(&undecided)
	require.NoError(t, tl.engine.Redeliver(t.Context(), tl.delivery))
	tl.drain(tl.engine)
	tl.requireClass("access could not be decided")

	denied := fmt.Errorf("%w: by a row of %s", access.ErrDenied, hostText)
	tl.checker.Store(&denied)
	tl.drainAhead(tl.engine, time.Hour)
	tl.requireClass("access was denied")

	unknown := fmt.Errorf("%w in %s", access.ErrUnknownPrincipal, hostText)
	tl.checker.Store(&unknown)
	require.NoError(t, tl.engine.Redeliver(t.Context(), tl.delivery))
	tl.drain(tl.engine)
	tl.requireClass("the owner is unknown")

	require.NoError(t, tl.engine.Redeliver(t.Context(), tl.delivery))
	mine := tl.engine.As(tl.owner, ownersOnly)
	require.NoError(t, mine.Cancel(t.Context(), tl.delivery, "no more"))
	d, err := mine.Delivery(t.Context(), tl.delivery)
	require.NoError(t, err)
	require.Equal(t, "no more", d.Reason, "what is not the host's is shown")
}

// The words of a tree that fails when access is checked again are for operators.
func TestOwner_SeesTheClassOfWhyAPlaceIsUnknown(t *testing.T) {
	t.Parallel()
	tl := newTold(t)
	tl.engine = tl.bundle.engine(func(cfg *delivery.Config) {
		cfg.Access.MaxAge = time.Nanosecond
		cfg.Tree = treeFunc(func(context.Context, hierarchy.Path) ([]hierarchy.Path, error) {
			return nil, errors.New("connect: " + hostText)
		})
	})
	require.NoError(t, tl.engine.Redeliver(t.Context(), tl.delivery))
	tl.drain(tl.engine)
	tl.requireClass("access could not be decided")
}

// clumsyDialect cannot build requests, and says why.
type clumsyDialect struct{ dialect.Dialect }

func (clumsyDialect) Name() string { return "clumsy" }

func (clumsyDialect) Request(dialect.Message, dialect.Destination, dialect.Attempt) (dialect.Request, error) {
	return dialect.Request{}, errors.New("connect: " + hostText)
}

func TestOwner_SeesTheClassOfWhyARequestWasNotBuilt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	var err error
	b.cfg.Dialects, err = dialect.NewRegistry(clumsyDialect{dialect.Standard()})
	require.NoError(t, err)
	engine := b.engine(nil)
	b.subs = engine.Subscriptions()
	sub := b.subscribe(b.receiver(nil), func(s *subscription.Spec) { s.Owner, s.Dialect = "ada", "clumsy" })
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.delivery(id, sub.ID).ID
	whole, err := engine.History().Attempts(t.Context(), d)
	require.NoError(t, err)
	require.Contains(t, whole[0].Error, hostText)
	attempts, err := engine.As("ada", ownersOnly).Attempts(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("dialect: the message could not be made (reference %s)", d), attempts[0].Error)
	require.NotContains(t, shown(t, attempts), hostText)
}

// What waits, was denied or was dropped has a line for its owner, with the outcome and
// its class, and nothing of the event or of others.
func TestExplain_HasALineForEachSubscriptionOfAnOwner(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	externalizers := &delivery.Externalizers{}
	require.NoError(t, externalizers.Register("cloudevents", "", "", delivery.Externalizer(
		func(context.Context, dialect.Event) ([]byte, error) { return nil, errors.New(hostText) })))
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Externalize.Registry = externalizers
		cfg.Access.Registry = b.checkers(accesstest.Table{
			"ada": nil, "externalized": nil, "idle": nil, "paged": nil,
			"mallory":  fmt.Errorf("%w: a row of %s", access.ErrDenied, hostText),
			"newcomer": errors.New(hostText),
		})
	})
	subscribe := func(owner string, change func(s *subscription.Spec)) uuid.UUID {
		return b.subscribe(b.receiver(nil), func(s *subscription.Spec) {
			if s.Owner = owner; change != nil {
				change(s)
			}
		}).ID
	}
	mine := subscribe("ada", nil)
	subscribe("dropper", func(s *subscription.Spec) { s.Filter = `data.name == "Bob"` })
	subscribe("dropper", func(s *subscription.Spec) { s.Events = []string{"user.deleted"} })
	subscribe("clumsy", func(s *subscription.Spec) { s.Filter = `data.total > 7` })
	subscribe("externalized", func(s *subscription.Spec) { s.Dialect = "cloudevents" })
	subscribe("ghost", nil)
	subscribe("mallory", nil)
	subscribe("newcomer", nil)
	subscribe("other", func(s *subscription.Spec) { s.Events = []string{"user.deleted"} })
	idle := subscribe("idle", nil)
	_, err := b.subs.Deactivate(t.Context(), idle, "moved away")
	require.NoError(t, err)
	id := b.enqueue(func(in *outbox.Intent) { in.Attributes = map[string]string{"class": "secret"} })

	early, err := engine.As("ada", ownersOnly).Explain(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, early.Subscriptions, 1)
	require.Equal(t, delivery.DecisionNotExpanded, early.Subscriptions[0].Outcome)
	require.Equal(t, delivery.IntentRecord{ID: id}, early.Intent)
	b.drain(engine)

	x, err := engine.As("ada", ownersOnly).Explain(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, x.Subscriptions, 1)
	require.Equal(t, mine, x.Subscriptions[0].SubscriptionID)
	require.Equal(t, "user.created", x.Intent.Type)
	require.Empty(t, x.Intent.Attributes)
	require.Empty(t, x.Sites)

	for owner, want := range map[string]struct {
		outcome delivery.DecisionOutcome
		why     string
	}{
		"clumsy":       {delivery.DecisionFilterError, "the filter failed (reference "},
		"dropper":      {delivery.DecisionFiltered, "the filter is false of it"},
		"externalized": {delivery.DecisionWaiting, "the message could not be made (reference "},
		"ghost":        {delivery.DecisionUnresolvable, "the owner is unknown (reference "},
		"idle":         {delivery.DecisionInactive, "the subscription is deactivated: moved away"},
		"mallory":      {delivery.DecisionDenied, "access was denied (reference "},
		"newcomer":     {delivery.DecisionWaiting, "access could not be decided (reference "},
	} {
		x, err := engine.As(owner, ownersOnly).Explain(t.Context(), id)
		require.NoError(t, err, owner)
		require.Len(t, x.Subscriptions, 1, owner)
		line := x.Subscriptions[0]
		require.Equal(t, want.outcome, line.Outcome, owner)
		require.Contains(t, line.Why, string(want.outcome)+": "+want.why, owner)
		require.Equal(t, owner == "externalized", line.DueAt != nil, owner)
		require.Nil(t, line.Cause, owner)
		require.Equal(t, delivery.IntentRecord{ID: id}, x.Intent, owner)
		require.Contains(t, shown(t, *x), fmt.Sprintf(`{"intent":{"id":%q},"subscriptions":[`, id), owner)
		require.Empty(t, line.MatchedPattern, owner)
		require.Empty(t, line.MatchedSite, owner)
		require.False(t, x.Truncated)
		text := shown(t, *x) + x.String()
		for _, hidden := range []string{hostText, "user.created", "/noaa", "Ada", "secret"} {
			require.NotContains(t, text, hidden, owner)
		}
	}
	for _, principal := range []string{"eve", "other", ""} {
		_, err = engine.As(principal, ownersOnly).Explain(t.Context(), id)
		require.ErrorIs(t, err, delivery.ErrNotFound, principal)
		require.EqualError(t, err, fmt.Sprintf("delivery: intent %q: not found", id))
	}
	_, err = engine.As("ada", nil).Explain(t.Context(), id)
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

// With more subscriptions than an operator is listed, an owner has its own line.
func TestExplain_FindsTheLineOfAnOwnerAmongMany(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	_, mine := b.subscribeAs("ada")
	id := b.enqueue(nil)
	b.drain(engine)
	b.exec(`
		INSERT INTO riverhook.decision (intent_id, subscription_id, outcome, matched_site)
		SELECT i.id, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'denied', '/'
		FROM riverhook.intent i, generate_series(1, 1005) n WHERE i.wire_id = $1`, id)
	b.exec(`
		INSERT INTO riverhook.subscription
		SELECT (jsonb_populate_record(s, jsonb_build_object('owner', 'bob',
			'id', '00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0')))).*
		FROM riverhook.subscription s, generate_series(1, 1005) n WHERE s.id = $1`, mine)
	x, err := engine.As("ada", ownersOnly).Explain(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, x.Subscriptions, 1)
	require.Equal(t, mine, x.Subscriptions[0].SubscriptionID)
	require.False(t, x.Truncated, "that there are others is not told")
}

func TestOwner_IsNotToldWhichProcessSent(t *testing.T) {
	t.Parallel()
	tl := newTold(t)
	whole, err := tl.engine.History().Attempts(t.Context(), tl.delivery)
	require.NoError(t, err)
	require.NotEmpty(t, whole[0].Engine)
	attempts, err := tl.engine.As(tl.owner, ownersOnly).Attempts(t.Context(), tl.delivery)
	require.NoError(t, err)
	require.Empty(t, attempts[0].Engine)
}
