package delivery_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/access/accesstest"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func hexOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func TestHistoryRules_NamedHeadersAreNotWritten(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.always(deliverytest.Answer{Header: http.Header{
		"X-Person": {"hunter2"}, "X-Tenant": {"hunter3"}, "X-Request-Id": {"r1"},
		"Authorization": {"hunter4"}, "Cookie": {"hunter5"}, "Proxy-Authorization": {"hunter6"},
		"Set-Cookie": {"hunter7"}, "X-Api-Key": {"hunter8"},
	}})
	sub := b.subscribe(r, func(s *subscription.Spec) { s.Headers = map[string]string{"X-Tenant": "hunter3"} })
	engine := b.keeping(delivery.HistoryRules{RedactHeaders: []string{"x-PERSON", "webhook-ID"}})

	id := b.enqueue(nil)
	b.drain(engine)
	ping, _, err := engine.Ping(t.Context(), sub.ID, nil)
	require.NoError(t, err)

	attempts, err := b.reader().Attempts(t.Context(), b.deliveries(id)[0].ID)
	require.NoError(t, err)
	for _, a := range []delivery.Attempt{attempts[0], *ping} {
		require.Equal(t, "[redacted]", a.ResponseHeaders["X-Person"])
		require.Equal(t, "[redacted]", a.ResponseHeaders["X-Tenant"], "the endpoint returns what is its owner's to know")
		for _, always := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie", "X-Api-Key"} {
			require.Equal(t, "[redacted]", a.ResponseHeaders[always], always)
		}
		require.Equal(t, "r1", a.ResponseHeaders["X-Request-Id"])
		require.Equal(t, "[redacted]", a.RequestHeaders["Webhook-Id"])
		require.Equal(t, "application/json", a.RequestHeaders["Content-Type"])
	}
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.attempt a WHERE a::text LIKE '%hunter%'`))
	require.NotEmpty(t, r.Requests()[0].ID())
}

func TestHistoryRules_OfAnAnswerWhatTheySayIsKept(t *testing.T) {
	t.Parallel()
	const secret = "the answer"
	types := []delivery.TypeRule{
		{Pattern: "user.deleted", Answers: event.KeepNothing},
		{Pattern: "user.*", Payloads: event.KeepNothing},
		{Pattern: "**", Answers: event.KeepHash},
	}
	for name, c := range map[string]struct {
		rules     delivery.HistoryRules
		eventType string
		answer    string
		body, sum string
		truncated bool
	}{
		"all by default":         {delivery.HistoryRules{}, "user.created", secret, secret, "", false},
		"a hash":                 {delivery.HistoryRules{Answers: event.KeepHash}, "user.created", secret, "", hexOf([]byte(secret)), false},
		"a hash of nothing":      {delivery.HistoryRules{Answers: event.KeepHash}, "user.created", "", "", "", false},
		"nothing":                {delivery.HistoryRules{Answers: event.KeepNothing}, "user.created", secret, "", "", true},
		"by the type":            {delivery.HistoryRules{Types: types}, "user.deleted", secret, "", "", true},
		"by the first that fits": {delivery.HistoryRules{Types: types}, "user.created", secret, secret, "", false},
		"by the last":            {delivery.HistoryRules{Types: types}, "office.closed", secret, "", hexOf([]byte(secret)), false},
		"a hash of what is longer": {
			delivery.HistoryRules{Answers: event.KeepHash},
			"user.created", strings.Repeat("x", 20<<10),
			"", hexOf([]byte(strings.Repeat("x", 20<<10))), false,
		},
		"a hash of the beginning": {
			delivery.HistoryRules{Answers: event.KeepHash},
			"user.created", strings.Repeat("x", 70<<10),
			"", hexOf([]byte(strings.Repeat("x", 64<<10))), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.subscribe(b.always(deliverytest.Answer{Status: 200, Body: []byte(c.answer)}), nil)

			id := b.enqueue(func(in *outbox.Intent) { in.Type = c.eventType })
			b.drain(b.keeping(c.rules))

			attempts, err := b.reader().Attempts(t.Context(), b.deliveries(id)[0].ID)
			require.NoError(t, err)
			require.Equal(t, c.body, string(attempts[0].ResponseBody))
			require.Equal(t, c.sum, attempts[0].ResponseSHA256)
			require.Equal(t, c.truncated, attempts[0].ResponseTruncated)
		})
	}
}

func TestPayloads_AreReducedWhenAllHasEnded(t *testing.T) {
	t.Parallel()
	for keep, gone := range map[event.Keep]delivery.PayloadState{
		event.KeepHash:    delivery.PayloadHashed,
		event.KeepNothing: delivery.PayloadDropped,
	} {
		t.Run(string(keep), func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			good, bad := b.receiver(nil), b.receiver(nil)
			bad.Script(deliverytest.Answer{Status: 500})
			b.subscribe(good, nil)
			b.subscribe(bad, func(s *subscription.Spec) { s.Schedule = "twice" })
			engine := b.keeping(delivery.HistoryRules{Payloads: keep})
			id := b.enqueue(func(in *outbox.Intent) {
				in.Data, in.Attributes = json.RawMessage(`{"name": "Ada"}`), map[string]string{"ip": "192.0.2.1"}
			})
			b.drain(engine)
			require.Zero(t, b.prune(engine), "a delivery is pending")
			in, err := b.reader().Intent(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, delivery.PayloadKept, in.Payload)
			require.Nil(t, in.GoneAt)
			b.drainAhead(engine, 2*time.Hour)
			require.Len(t, bad.Requests(), 2)

			require.Equal(t, delivery.Pruned{Reduced: 1}, b.prune(engine))

			in, err = b.reader().Intent(t.Context(), id)
			require.NoError(t, err)
			require.Nil(t, in.Data)
			require.Equal(t, gone, in.Payload)
			require.NotNil(t, in.GoneAt)
			require.Equal(t, "192.0.2.1", in.Attributes["ip"])
			msg, err := b.reader().Message(t.Context(), b.deliveries(id)[0].ID)
			require.NoError(t, err)
			require.Empty(t, msg.Body)
			require.True(t, msg.Gone)
			require.Equal(t, "application/json", msg.ContentType)
			if keep == event.KeepHash {
				require.Equal(t, hexOf([]byte(`{"name": "Ada"}`)), in.DataSHA256)
				require.Equal(t, hexOf(good.Requests()[0].Body), msg.SHA256)
			} else {
				require.Empty(t, in.DataSHA256)
				require.Empty(t, msg.SHA256)
				require.Zero(t, b.count(`SELECT count(*) FROM riverhook.intent i, riverhook.message m WHERE (i, m)::text LIKE '%Ada%'`))
			}
			require.Zero(t, b.prune(engine), "it is done once")

			for _, d := range b.deliveries(id) {
				require.ErrorIs(t, engine.Redeliver(t.Context(), d.ID), delivery.ErrPayloadGone)
				delivered := &delivery.RecoverOpts{States: []delivery.DeliveryState{delivery.DeliveryDelivered}}
				n, err := engine.Recover(t.Context(), d.Subscription, delivered)
				require.NoError(t, err)
				require.Zero(t, n)
			}
			_, err = engine.RetryFailed(t.Context(), id)
			require.ErrorIs(t, err, delivery.ErrPayloadGone)
			require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
				res, err := b.outbox.Enqueue(t.Context(), tx, outbox.Intent{
					ID:       id,
					Type:     "user.created",
					Site:     "/noaa/nws/oun",
					Resource: access.Resource{Kind: "user", ID: "ada"},
					Data:     json.RawMessage(`{"name": "Ada"}`),
				})
				require.True(t, res.Duplicate, "its id and what it was are remembered")
				return err
			}))
		})
	}
}

func TestPayloads_FollowTheRuleOfTheirType(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	engine := b.keeping(delivery.HistoryRules{
		Payloads: event.KeepHash,
		Types: []delivery.TypeRule{
			{Pattern: "user.created", Payloads: event.KeepBody},
			{Pattern: "user.**", Payloads: event.KeepNothing},
		},
	})
	want := map[string]delivery.PayloadState{}
	for eventType, state := range map[string]delivery.PayloadState{
		"user.created": delivery.PayloadKept, "user.deleted": delivery.PayloadDropped, "office.closed": delivery.PayloadHashed,
	} {
		want[b.enqueue(func(in *outbox.Intent) { in.Type = eventType })] = state
	}
	b.drain(engine)

	require.Equal(t, delivery.Pruned{Reduced: 2}, b.prune(b.engine(nil)), "by the rules of the engine that expanded")

	for id, state := range want {
		in, err := b.reader().Intent(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, state, in.Payload, in.Type)
	}
}

func TestPayloads_OfWhatCanBeRunAgainAreKept(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.receiver(nil), nil)
	b.subscribe(b.receiver(nil), func(s *subscription.Spec) { s.Owner = "newcomer" })
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Access.Registry = b.checkers(accesstest.Table{"owner": nil, "newcomer": errors.New("the directory is down")})
		cfg.History.Payloads = event.KeepNothing
	})
	b.enqueue(nil)
	b.drain(engine)

	require.Zero(t, b.prune(engine), "a decision waits")
	b.exec(`UPDATE riverhook.decision SET outcome = 'failed'`)
	require.Zero(t, b.prune(engine), "a decision can be made again")
	b.exec(`UPDATE riverhook.decision SET outcome = 'denied'`)
	b.exec(`UPDATE riverhook.intent_state SET state = 'failed'`)
	require.Zero(t, b.prune(engine), "an expansion can be run again")
	b.exec(`UPDATE riverhook.intent_state SET state = 'expanded'`)
	require.Equal(t, 1, b.prune(engine).Reduced)
}

// A redelivery that is under way when the payload is about to go, and one that
// comes while it goes.
func TestRedeliver_KeepsThePayloadOrIsRefused(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	b.subscribe(r, nil)
	engine := b.keeping(delivery.HistoryRules{Payloads: event.KeepNothing})
	id := b.enqueue(nil)
	b.drain(engine)
	d := b.deliveries(id)[0]

	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, engine.In(tx).Redeliver(t.Context(), d.ID))
	require.Zero(t, b.prune(engine))
	require.NoError(t, tx.Commit(t.Context()))
	require.Zero(t, b.prune(engine))
	b.drain(engine)
	require.Len(t, r.Requests(), 2)
	require.Equal(t, r.Requests()[0].Body, r.Requests()[1].Body)

	require.Equal(t, 1, b.prune(engine).Reduced)
	require.ErrorIs(t, engine.Redeliver(t.Context(), d.ID), delivery.ErrPayloadGone)
}

// No statement of ours leaves a pending delivery without its message. Where
// somebody's own statement does, nothing empty is sent.
func TestPayloads_ADeliveryWhoseMessageIsGoneSendsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	b.subscribe(r, func(s *subscription.Spec) { s.Schedule = "twice" })
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	b.exec(`UPDATE riverhook.message SET body = NULL, gone = true`)

	b.drainAhead(engine, 2*time.Hour)

	require.Len(t, r.Requests(), 1)
	require.Equal(t, "cancelled", b.deliveries(id)[0].State)
	require.Equal(t, "its message is not there any more", b.deliveries(id)[0].Reason)
}

func TestHistoryRules_ThatAreRefusedNameTheirField(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for field, rules := range map[string]delivery.HistoryRules{
		"Answers":                    {Answers: "some"},
		"Payloads":                   {Payloads: "some"},
		"RedactHeaders[1]":           {RedactHeaders: []string{"X-Ok", "not ok"}},
		"RedactHeaders[0]":           {RedactHeaders: []string{""}},
		"PayloadAge: needs Payloads": {PayloadAge: time.Hour},
		"PayloadAge: -1ms is not":    {Payloads: event.KeepHash, PayloadAge: -time.Millisecond},
		"Types[1].PayloadAge: needs Payloads": {
			Payloads: event.KeepHash, Types: []delivery.TypeRule{{Pattern: "a.b"}, {Pattern: "user.*", PayloadAge: time.Hour}},
		},
		"Types[0].PayloadAge: 1ns is not": {
			Types: []delivery.TypeRule{{
				Pattern:    "user.*",
				Payloads:   event.KeepHash,
				PayloadAge: time.Nanosecond,
			}},
		},
		"Types[0].Pattern": {Types: []delivery.TypeRule{{Pattern: "user"}}},
		"Types[1]":         {Types: []delivery.TypeRule{{Pattern: "user.*"}, {Pattern: "**", Answers: "some"}}},
		"negative":         {PerSubscription: -1},
	} {
		cfg := b.cfg
		cfg.History = rules
		_, err := delivery.New(b.pool, &cfg)
		require.ErrorContains(t, err, "config: History.", field)
		require.ErrorContains(t, err, field)
	}
}
