package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestAsk_TheHistoryShowsWhatWasAskedAndWhatEachGateSaid(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	vetoing := b.gate(b.always(deliverytest.Veto("legal hold")), func(spec *subscription.Spec) { spec.Name = "legal" })
	agreeing := b.gate(b.receiver(nil), nil)
	denied := b.gate(b.receiver(nil), func(spec *subscription.Spec) { spec.Owner = "mallory" })
	undecided := b.gate(b.receiver(nil), func(spec *subscription.Spec) { spec.Owner = "nobody" })
	events := b.subscribe(b.receiver(nil), nil).ID
	engine := b.guardedBy(access.CheckerFunc(func(_ context.Context, r access.Request) error {
		require.Equal(t, "before:user.delete", r.EventType)
		switch r.Principal {
		case "mallory":
			return access.ErrDenied
		case "nobody":
			return errors.New("the directory is down")
		default:
			return nil
		}
	}))
	q := mayDelete()
	q.ActiveSite, q.Attributes = "/noaa", map[string]string{"ticket": "7"}

	answer, err := engine.Ask(t.Context(), q)
	require.ErrorIs(t, err, delivery.ErrVetoed)

	h := engine.History()
	in, err := h.Intent(t.Context(), answer.ID)
	require.NoError(t, err)
	require.Equal(t, "before:user.delete", in.Type)
	require.Equal(t, delivery.IntentExpanded, in.State)
	require.Equal(t, []any{"grace", hierarchy.Path("/noaa/nws/oun"), hierarchy.Path("/noaa"), "user", "ada"},
		[]any{in.Actor, in.Site, in.ActiveSite, in.ResourceKind, in.ResourceID})
	require.JSONEq(t, `{"name":"Ada"}`, string(in.Data))
	require.Equal(t, q.Attributes, in.Attributes)

	for pattern, n := range map[string]int{"before:**": 2, "before:user.*": 2, "**": 0, "user.*": 0, "before:user": 0, "": 2} {
		found, err := deliveriesOf(h.Deliveries(t.Context(), &delivery.DeliveryFilter{EventType: pattern}))
		require.NoError(t, err)
		require.Len(t, found, n, pattern)
	}
	d, err := h.Delivery(t.Context(), answer.Gates[0].DeliveryID)
	require.NoError(t, err)
	require.Equal(t, vetoing, d.SubscriptionID)
	require.Equal(t, []any{delivery.DeliveryDelivered, delivery.OutcomeVetoed, 200, "legal hold", "before:**", 1},
		[]any{d.State, d.LastOutcome, d.LastStatus, d.Reason, d.MatchedPattern, d.Attempts})
	attempts, err := h.Attempts(t.Context(), d.ID)
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	require.Equal(t, delivery.OutcomeVetoed, attempts[0].Outcome)
	require.Equal(t, "vetoed: legal hold", attempts[0].Error)
	require.JSONEq(t, `{"reason":"legal hold"}`, string(attempts[0].ResponseBody))
	require.NotEmpty(t, attempts[0].RequestHeaders["Webhook-Id"])
	msg, err := h.Message(t.Context(), d.ID)
	require.NoError(t, err)
	require.Contains(t, string(msg.Body), `"type":"before:user.delete"`)

	x, err := engine.Explain(t.Context(), answer.ID)
	require.NoError(t, err)
	told := map[uuid.UUID]string{}
	for _, s := range x.Subscriptions {
		told[s.SubscriptionID] = string(s.Outcome) + ": " + s.Why
	}
	require.Contains(t, told[vetoing], "delivered: ")
	require.Contains(t, told[vetoing], "vetoed (200): legal hold")
	require.Contains(t, told[agreeing], "delivered at attempt 1 (204)")
	require.Contains(t, told[denied], `denied: "mallory" may not view the resource`)
	require.Contains(t, told[undecided], "unanswered: access could not be decided")
	require.Contains(t, told[events], `hears "**", not before:user.delete`)
}

// What is written behind a rule about events is not kept of questions about the same.
func TestAsk_RulesForEventsHoldForQuestionsAboutTheSame(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(b.always(deliverytest.Veto("Lovelace is on hold")), nil)
	b.gate(b.receiver(nil), func(spec *subscription.Spec) {
		spec.Operator = true
		spec.Owner = ""
		spec.MaxInFlight = 1
	})
	types, err := outbox.NewEventTypes(b.pool, nil)
	require.NoError(t, err)
	require.NoError(t, types.Register(t.Context(), outbox.EventType{Name: "person.delete", Payloads: event.KeepNothing}))
	engine := b.keeping(delivery.HistoryRules{Types: []delivery.TypeRule{
		{
			Pattern:  "user.*",
			Answers:  event.KeepNothing,
			Payloads: event.KeepNothing,
		},
		{Pattern: "person.*", Answers: event.KeepNothing},
	}})
	for _, name := range []string{"user.delete", "person.delete"} {
		q := mayDelete()
		q.Type, q.Data = name, map[string]string{"name": "Lovelace"}

		answer, err := engine.Ask(t.Context(), q)
		require.ErrorContains(t, err, "Lovelace is on hold", "who asks is told")
		b.prune(engine)

		b.requireForgotten()
		attempts, err := engine.History().Attempts(t.Context(), answer.Gates[0].DeliveryID)
		require.NoError(t, err)
		require.Equal(t, delivery.OutcomeVetoed, attempts[0].Outcome)
	}
}

func TestAsk_AQuestionIsErasedAndPrunedAsAnEventIs(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.gate(b.always(deliverytest.Veto("Lovelace is on hold")), nil)
	engine := b.engine(nil)
	q := mayDelete()
	q.Data, q.Attributes = map[string]string{"name": "Lovelace"}, map[string]string{"mail": "lovelace@example.com"}
	answer, err := engine.Ask(t.Context(), q)
	require.ErrorIs(t, err, delivery.ErrVetoed)

	require.Equal(t, outbox.Erased{
		Intents:  1,
		Messages: 1,
		Attempts: 1,
	}, b.erase())
	b.requireForgotten()
	d, err := engine.History().Delivery(t.Context(), answer.Gates[0].DeliveryID)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeVetoed, d.LastOutcome)

	b.age(answer.ID, 91*24*time.Hour)
	require.Equal(t, 1, b.prune(engine).Deliveries)
}

func TestAsk_AQuestionIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	sub := b.gate(r, nil)
	engine := b.engine(nil)
	answer, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	id := answer.Gates[0].DeliveryID

	require.ErrorIs(t, engine.Redeliver(t.Context(), id), delivery.ErrQuestion)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		require.ErrorIs(t, engine.In(tx).Redeliver(t.Context(), id), delivery.ErrQuestion)
		return nil
	}))
	require.ErrorIs(t, engine.Cancel(t.Context(), id, "late"), delivery.ErrDeliveryEnded)
	n, err := engine.Recover(t.Context(), sub, &delivery.RecoverOpts{
		States: []delivery.DeliveryState{delivery.DeliveryCancelled, delivery.DeliveryDelivered, delivery.DeliveryExhausted},
	})
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = engine.RetryFailed(t.Context(), answer.ID)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = b.subs.Pause(t.Context(), sub)
	require.NoError(t, err)
	_, err = engine.Ask(t.Context(), mayDelete()) // leaves a decision "inactive"
	require.NoError(t, err)
	_, err = b.subs.Activate(t.Context(), sub, nil)
	require.NoError(t, err)
	n, err = engine.Recover(t.Context(), sub, nil)
	require.NoError(t, err)
	require.Zero(t, n)
	b.pass(24 * time.Hour)
	require.NoError(t, engine.Maintain(t.Context()))
	b.drain(engine)
	require.Len(t, r.Requests(), 1)

	_, err = b.outbox.Enqueue(t.Context(), nil, outbox.Intent{Type: "before:user.delete"})
	require.ErrorIs(t, err, outbox.ErrInvalidIntent, "what nobody waits for is no question")
}

// What questions say of an endpoint counts as what attempts say; but they are never
// exhausted.
func TestAsk_QuestionsCountForAndAgainstTheirEndpoint(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.gate(r, nil)
	engine := b.engine(nil)
	failed := func() int {
		return b.count(`SELECT failed_attempts FROM riverhook.subscription_health WHERE subscription_id = $1 AND exhausted_row = 0`, sub)
	}
	ask := func() string {
		answer, err := engine.Ask(t.Context(), mayDelete())
		require.NoError(t, err)
		return said(answer.Gates)[0]
	}

	r.Script(slices.Repeat([]deliverytest.Answer{{Status: 500}}, 2)...)
	for range 2 {
		require.Equal(t, "unanswered: it answered 500", ask())
	}
	require.Equal(t, 2, failed())
	r.Script(deliverytest.Veto("no"))
	_, err := engine.Ask(t.Context(), mayDelete())
	require.ErrorIs(t, err, delivery.ErrVetoed)
	require.Zero(t, failed(), "it answered")

	r.Script(slices.Repeat([]deliverytest.Answer{{Status: 500}}, 5)...)
	for range 5 {
		require.Equal(t, "unanswered: it answered 500", ask())
	}
	require.Equal(t, "unanswered: the endpoint is failing", ask(), "the circuit is open")
	asked := len(r.Requests())
	b.pass(time.Hour)
	require.Equal(t, "agreed", ask())
	require.Equal(t, "agreed", ask())
	require.Len(t, r.Requests(), asked+2)
	require.Zero(t, failed())

	r.Script(deliverytest.Answer{Status: 410})
	require.Equal(t, "unanswered: it answered 410", ask())
	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, subscription.StateDeactivated, b.subscription(sub).State)
}

func TestAsk_TheVerdictHoldsWhereItCannotBeRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	lines := &log{}
	b.gate(b.always(deliverytest.Veto("no")), nil)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Logger = lines.logger() })
	b.exec(`ALTER TABLE riverhook.attempt RENAME TO attempts`)

	answer, err := engine.Ask(t.Context(), mayDelete())

	require.ErrorIs(t, err, delivery.ErrVetoed)
	require.ErrorContains(t, answer.Unrecorded, "record question "+answer.ID)
	shown, err := json.Marshal(answer)
	require.NoError(t, err)
	require.Contains(t, string(shown), `"unrecorded":"`)
	require.Contains(t, string(shown), "record question "+answer.ID)
	require.Equal(t, 1, strings.Count(lines.String(), "a question is not recorded"))
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent`), "all of it or nothing")
}

// Gates of a type that the question's type extends are asked too, and events that
// extend it tell those who hear events.
func TestAsk_GatesOfUmbrellaTypesAreAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	types, err := outbox.NewEventTypes(b.pool, nil)
	require.NoError(t, err)
	require.NoError(t, types.Register(t.Context(), outbox.EventType{Name: "record.change"},
		outbox.EventType{Name: "user.delete", Extends: []string{"record.change"}}))
	events, questions := b.receiver(nil), b.receiver(nil)
	receives := b.subscribe(events, func(spec *subscription.Spec) { spec.Events = []string{"record.*"} }).ID
	sub := b.gate(questions, func(spec *subscription.Spec) { spec.Events = []string{"before:record.*"} })
	engine := b.engine(nil)

	answer, err := engine.Ask(t.Context(), mayDelete())
	require.NoError(t, err)
	require.Len(t, answer.Gates, 1)
	require.Equal(t, sub, answer.Gates[0].SubscriptionID)
	b.enqueue(func(in *outbox.Intent) { in.Type = "user.delete" })
	b.drain(engine)
	require.Len(t, events.Requests(), 1)
	require.Len(t, questions.Requests(), 1)

	for eventType, want := range map[string]uuid.UUID{"user.delete": receives, "before:user.delete": sub} {
		found, err := listed(b.subs.List(t.Context(), &subscription.ListOpts{EventType: eventType}))
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, want, found[0].ID)
	}
	x, err := engine.Explain(t.Context(), answer.ID)
	require.NoError(t, err)
	require.Len(t, x.Subscriptions, 2)
	later := b.gate(questions, func(spec *subscription.Spec) { spec.Events = []string{"before:record.change"} })
	x, err = engine.Explain(t.Context(), answer.ID)
	require.NoError(t, err)
	i := slices.IndexFunc(x.Subscriptions, func(s delivery.Explained) bool { return s.SubscriptionID == later })
	require.Contains(t, x.Subscriptions[i].Why, "after the expansion", "it would hear it now")
}
