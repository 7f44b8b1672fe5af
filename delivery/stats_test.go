package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestStats_CountWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ok, broken := b.receiver(nil), b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Status: 404}
	}})
	b.subscribe(ok, nil)
	b.subscribe(ok, func(s *subscription.Spec) { s.Paused = true })
	b.subscribe(ok, func(s *subscription.Spec) { s.Owner = "newcomer" })
	failing := b.subscribe(broken, func(s *subscription.Spec) { s.Schedule = "twice" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{"owner": nil, "newcomer": errors.New("the directory is down")})
	})
	empty, err := engine.History().Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, *empty)

	first, second := b.enqueue(nil), b.enqueue(nil)
	b.drain(engine)
	b.enqueue(func(in *outbox.Intent) { in.NotBefore = time.Now().Add(time.Hour) })
	b.enqueue(nil)
	b.exec(`UPDATE riverhook.intent_state SET due_at = now() - interval '20 min' WHERE state = 'pending' AND due_at <= now()`)
	b.exec(`UPDATE riverhook.delivery SET due_at = now() - interval '10 min' WHERE id = $1`, b.delivery(first, failing.ID).ID)
	require.Equal(t, "pending", b.delivery(second, failing.ID).State)
	b.exec(`INSERT INTO riverhook.engine (process, id, heartbeat_at)
		VALUES ('alive_1', 'alive', now()), ('dead_1', 'dead', now() - interval '1 min')`)

	s, err := b.reader().Stats(t.Context())

	require.NoError(t, err)
	require.InDelta(t, 10*time.Minute, s.OldestDue, float64(time.Minute))
	require.InDelta(t, 20*time.Minute, s.OldestIntent, float64(time.Minute))
	require.Len(t, s.Causes, 1)
	require.Equal(t, delivery.Cause{Kind: "check", Name: "user"}, s.Causes[0].Cause)
	require.Equal(t, 2, s.Causes[0].Decisions)
	require.Zero(t, s.Causes[0].Deliveries)
	require.WithinDuration(t, time.Now(), s.Causes[0].Since, time.Minute)
	require.Nil(t, s.Causes[0].ProbedAt)
	s.OldestDue, s.OldestIntent = 0, 0
	s.Causes = nil
	require.Equal(t, delivery.Stats{
		Due:              1,
		Scheduled:        1,
		HeldByPause:      2,
		PendingIntents:   2,
		WaitingDecisions: 2,
		Engines:          1,
	}, *s)
}

func TestPing_GoesOutAsADeliveryDoesAndIsNotRecorded(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(deliverytest.Answer{Status: 200, Body: []byte("pong")}, deliverytest.Answer{
		Status: 503, Header: http.Header{"Retry-After": {"120"}},
	})
	sub := b.subscribe(receiver, func(s *subscription.Spec) { s.Paused, s.Headers = true, map[string]string{"X-Team": "people"} })
	engine := b.engine(nil)

	a, _, err := engine.Ping(t.Context(), sub.ID, nil)

	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	require.Equal(t, "pong", string(a.ResponseBody))
	require.Equal(t, 200, a.Status)
	request := receiver.Requests()[0]
	require.NoError(t, request.Err, "the signature was verified")
	require.Equal(t, "people", request.Header.Get("X-Team"))
	require.Equal(t, a.RequestHeaders["Webhook-Id"], request.ID())
	require.Contains(t, string(request.Body), `"type":"riverhook.ping"`)
	require.Contains(t, string(request.Body), sub.ID.String())

	a, _, err = engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeThrottled, a.Outcome)
	require.Equal(t, 2*time.Minute, a.RetryAfter)
	for _, table := range []string{"intent", "message", "delivery", "attempt", "decision", "subscription_health", "river_job"} {
		require.Zero(t, b.count(`SELECT count(*) FROM riverhook.`+table), table)
	}
}

func TestPing_OneThatCannotBeMadeSaysWhy(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, nil)
	engine := b.engine(nil)

	_, _, err := engine.Ping(t.Context(), uuid.New(), nil)
	require.ErrorIs(t, err, delivery.ErrNotFound)

	plain, err := dialect.NewRegistry(dialect.Plain())
	require.NoError(t, err)
	_, _, err = b.engine(func(cfg *delivery.Config) { cfg.Dialects = plain }).Ping(t.Context(), sub.ID, nil)
	require.ErrorContains(t, err, `no dialect "standard"`)

	broken, err := dialect.NewRegistry(panickyDialect{})
	require.NoError(t, err)
	_, _, err = b.engine(func(cfg *delivery.Config) { cfg.Dialects = broken }).Ping(t.Context(), sub.ID, nil)
	require.ErrorContains(t, err, "dialect: panic: oops")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = engine.Ping(cancelled, sub.ID, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, receiver.Requests())

	receiver.Script(deliverytest.Answer{Hang: true})
	leaving, leave := context.WithCancel(t.Context())
	go func() {
		_, _ = receiver.Wait(t.Context(), 1)
		leave()
	}()
	_, _, err = engine.Ping(leaving, sub.ID, nil)
	require.ErrorIs(t, err, context.Canceled)

	receiver.Close()
	a, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeUnreachable, a.Outcome)

	require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	_, _, err = engine.Ping(t.Context(), sub.ID, nil)
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

type panickyDialect struct{}

func (panickyDialect) Name() string { return "standard" }

func (panickyDialect) Envelope(dialect.Event, []byte) (dialect.Message, error) { panic("oops") }

func (panickyDialect) Request(dialect.Message, dialect.Destination, dialect.Attempt) (dialect.Request, error) {
	panic("oops")
}

// Each hold is one that a filter takes and that is counted.
func TestHold_EachIsFilteredAndCounted(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), func(s *subscription.Spec) { s.Paused = true })
	for range attempt.Holds {
		b.enqueue(nil)
	}
	engine := b.engine(nil)
	b.drain(engine)
	for i, hold := range attempt.Holds {
		b.exec(`UPDATE riverhook.delivery SET hold = $1, cause = 'tree:', cause_share = '/'
			WHERE id = (SELECT id FROM riverhook.delivery ORDER BY id LIMIT 1 OFFSET $2)`, hold, i)
	}

	for _, hold := range attempt.Holds {
		page, err := b.reader().Deliveries(t.Context(), &delivery.DeliveryFilter{Hold: hold})
		require.NoError(t, err)
		require.Len(t, page.Deliveries, 1, hold)
	}
	s, err := b.reader().Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(attempt.Holds), s.HeldByCause+s.HeldByCircuit+s.HeldByPause+s.HeldByRate+s.HeldBySlots)
}
