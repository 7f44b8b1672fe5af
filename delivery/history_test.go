package delivery_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func (b *bundle) reader() *delivery.History {
	b.t.Helper()
	h, err := delivery.NewHistory(b.pool, nil)
	require.NoError(b.t, err)
	return h
}

func TestHistory_ListsDeliveriesByWhatIsAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ok, broken := b.receiver(nil), b.receiver(&deliverytest.ReceiverConfig{Answer: func(deliverytest.Request) deliverytest.Answer {
		return deliverytest.Answer{Status: 404}
	}})
	good := b.subscribe(ok, func(s *subscription.Spec) { s.Name, s.Events = "good", []string{"user.*"} })
	bad := b.subscribe(broken, func(s *subscription.Spec) { s.Events, s.Schedule = []string{"office.closed"}, "none" })
	paused := b.subscribe(ok, func(s *subscription.Spec) {
		s.Site = "/noaa/nws/ama"
		s.Paused = true
		s.Channels = []string{"ops"}
	})
	engine := b.engine(nil)
	before := time.Now().Add(-time.Minute)
	for _, change := range []func(in *outbox.Intent){
		func(in *outbox.Intent) { in.ID = "created" },
		func(in *outbox.Intent) {
			in.ID = "deleted"
			in.Type = "user.deleted"
			in.Site = "/noaa"
		},
		func(in *outbox.Intent) {
			in.ID = "closed"
			in.Type = "office.closed"
			in.Resource = access.Resource{}
		},
		func(in *outbox.Intent) {
			in.ID = "held"
			in.Type = "office.moved"
			in.Site = "/noaa/nws/ama"
			in.Channel = "ops"
		},
	} {
		b.enqueue(change)
		b.drain(engine)
	}

	for name, test := range map[string]struct {
		filter delivery.DeliveryFilter
		want   []string
	}{
		"all":              {delivery.DeliveryFilter{}, []string{"held", "closed", "deleted", "created"}},
		"subscription":     {delivery.DeliveryFilter{SubscriptionID: good.ID}, []string{"deleted", "created"}},
		"other":            {delivery.DeliveryFilter{SubscriptionID: uuid.New()}, nil},
		"intent":           {delivery.DeliveryFilter{IntentID: "closed"}, []string{"closed"}},
		"type":             {delivery.DeliveryFilter{EventType: "user.deleted"}, []string{"deleted"}},
		"pattern":          {delivery.DeliveryFilter{EventType: "user.*"}, []string{"deleted", "created"}},
		"any type":         {delivery.DeliveryFilter{EventType: "**"}, []string{"held", "closed", "deleted", "created"}},
		"rest":             {delivery.DeliveryFilter{EventType: "office.**"}, []string{"held", "closed"}},
		"channel":          {delivery.DeliveryFilter{Channel: "ops"}, []string{"held"}},
		"channel's case":   {delivery.DeliveryFilter{Channel: "Ops"}, nil},
		"site":             {delivery.DeliveryFilter{Site: "/noaa"}, []string{"deleted"}},
		"under":            {delivery.DeliveryFilter{Under: "/noaa/nws"}, []string{"held", "closed", "created"}},
		"under no segment": {delivery.DeliveryFilter{Under: "/noaa/nw"}, nil},
		"under root":       {delivery.DeliveryFilter{Under: "/"}, []string{"held", "closed", "deleted", "created"}},
		"delivered":        {delivery.DeliveryFilter{State: delivery.DeliveryDelivered}, []string{"deleted", "created"}},
		"exhausted":        {delivery.DeliveryFilter{State: delivery.DeliveryExhausted}, []string{"closed"}},
		"pending":          {delivery.DeliveryFilter{State: delivery.DeliveryPending}, []string{"held"}},
		"hold":             {delivery.DeliveryFilter{Hold: delivery.HoldPaused}, []string{"held"}},
		"other hold":       {delivery.DeliveryFilter{Hold: delivery.HoldCircuit}, nil},
		"kind":             {delivery.DeliveryFilter{ResourceKind: "user"}, []string{"held", "deleted", "created"}},
		"resource":         {delivery.DeliveryFilter{ResourceKind: "user", ResourceID: "bob"}, nil},
		"since":            {delivery.DeliveryFilter{Since: before}, []string{"held", "closed", "deleted", "created"}},
		"since later":      {delivery.DeliveryFilter{Since: time.Now().Add(time.Hour)}, nil},
		"until":            {delivery.DeliveryFilter{Until: before}, nil},
		"long ago":         {delivery.DeliveryFilter{Until: before.AddDate(-60, 0, 0)}, nil},
		"all that is given": {delivery.DeliveryFilter{
			SubscriptionID: good.ID,
			EventType:      "user.*",
			Site:           "/noaa/nws/oun",
		}, []string{"created"}},
		"limit": {delivery.DeliveryFilter{Limit: 2}, []string{"held", "closed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := deliveriesOf(b.reader().Deliveries(t.Context(), &test.filter))
			require.NoError(t, err)
			var ids []string
			for _, d := range found {
				ids = append(ids, d.IntentID)
			}
			require.Equal(t, test.want, ids)
		})
	}

	all, err := deliveriesOf(engine.History().Deliveries(t.Context(), nil))
	require.NoError(t, err)
	held := all[0]
	closed := all[1]
	created := all[3]
	require.Equal(t, paused.ID, held.SubscriptionID)
	require.Equal(t, delivery.HoldPaused, held.Hold)
	require.Nil(t, held.DueAt)
	require.NotNil(t, held.HeldSince)
	require.Equal(t, bad.ID, closed.SubscriptionID)
	require.Equal(t, delivery.OutcomeRejected, closed.LastOutcome)
	require.Equal(t, 404, closed.LastStatus)
	require.Equal(t, "good", created.SubscriptionName)
	require.Equal(t, ok.URL(), created.URL)
	require.Equal(t, "owner", created.Owner)
	require.Equal(t, hierarchy.Path("/noaa/nws/oun"), created.Site)
	require.Equal(t, hierarchy.Path("/"), created.MatchedSite)
	require.Equal(t, "user.*", created.MatchedPattern)
	require.Equal(t, "ada", created.ResourceID)
	require.NotNil(t, created.EndedAt)
	one, err := b.reader().Delivery(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, created, *one)
}

func TestHistory_PagesHaveNoGapAndRepeatNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	sub := b.subscribe(receiver, nil)
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	for range 12 {
		b.enqueue(nil)
	}
	b.drain(engine)
	h := b.reader()
	all, err := deliveriesOf(h.Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: sub.ID}))
	require.NoError(t, err)
	require.Len(t, all, 12)
	intents, err := intentsOf(h.Intents(t.Context(), nil))
	require.NoError(t, err)
	require.Len(t, intents, 12)

	var paged []delivery.Delivery
	filter := delivery.DeliveryFilter{
		SubscriptionID: sub.ID,
		Limit:          5,
		Since:          time.Now().Add(-time.Hour),
	}
	for {
		page, err := h.Deliveries(t.Context(), &filter)
		require.NoError(t, err)
		paged = append(paged, page.Deliveries...)
		if filter.Cursor = page.Next; page.Next == "" {
			break
		}
		require.Len(t, page.Deliveries, 5)
		b.enqueue(nil) // what comes meanwhile is newer than the first page
		b.drain(engine)
	}
	require.Equal(t, all, paged)

	newer, err := deliveriesOf(h.Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: sub.ID, After: all[0].ID}))
	require.NoError(t, err)
	require.Len(t, newer, 2)

	var keys []uuid.UUID
	for f := (&delivery.IntentFilter{Limit: 4, Until: intents[0].CreatedAt.Add(time.Microsecond)}); ; {
		page, err := h.Intents(t.Context(), f)
		require.NoError(t, err)
		for _, in := range page.Intents {
			keys = append(keys, in.Key)
		}
		if f.Cursor = page.Next; page.Next == "" {
			break
		}
		require.Len(t, page.Intents, 4)
	}
	require.Len(t, keys, 12)
	for i, key := range keys {
		require.Equal(t, intents[i].Key, key)
	}
}

func TestHistory_AFilterThatIsRefusedNamesItsField(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	h := b.reader()
	now := time.Now()
	for field, f := range map[string]delivery.DeliveryFilter{
		"Cursor":       {Cursor: uuid.Max.String()},
		"EventType":    {EventType: "user"},
		"Hold":         {Hold: "late"},
		"Limit":        {Limit: 1001},
		"ResourceKind": {ResourceID: "ada"},
		"Site":         {Site: "noaa"},
		"State":        {State: "done"},
		"Under":        {Under: "/noaa/"},
		"Until":        {Since: now, Until: now},
	} {
		_, err := h.Deliveries(t.Context(), &f)
		require.ErrorContains(t, err, "delivery: list deliveries: "+field+": ")
	}
	_, err := h.Deliveries(t.Context(), &delivery.DeliveryFilter{Hold: delivery.HoldPaused, State: delivery.DeliveryExpired})
	require.ErrorContains(t, err, "Hold: ")
	for field, f := range map[string]delivery.IntentFilter{
		"Cursor": {Cursor: "x"},
		"Limit":  {Limit: -1},
		"State":  {State: "done"},
		"Type":   {Type: "user"},
	} {
		_, err := h.Intents(t.Context(), &f)
		require.ErrorContains(t, err, "delivery: list intents: "+field+": ")
	}

	_, err = delivery.NewHistory(nil, nil)
	require.ErrorContains(t, err, "pool")
	_, err = delivery.NewHistory(b.pool, &delivery.HistoryConfig{Schema: "No"})
	require.ErrorContains(t, err, "Schema: ")
}

func TestHistory_KeepsAttemptsAndMessagesByteForByte(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	receiver.Script(
		deliverytest.Answer{Status: 500, Body: []byte("\xff\x00 broken")},
		deliverytest.Answer{Status: 200, Body: []byte(`{"thanks":"é"}`)})
	b.subscribe(receiver, nil)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	deliverytest.Drain(t.Context(), t, engine, &deliverytest.DrainOpts{Ahead: time.Minute})
	h := b.reader()
	deliveryID := b.deliveries(id)[0].ID

	attempts, err := h.Attempts(t.Context(), deliveryID)
	require.NoError(t, err)
	require.Len(t, attempts, 2)
	require.Equal(t, []int{1, 2}, []int{attempts[0].Number, attempts[1].Number})
	require.Equal(t, delivery.OutcomeFailed, attempts[0].Outcome)
	require.Equal(t, "\xff\x00 broken", string(attempts[0].ResponseBody))
	require.Equal(t, 200, attempts[1].Status)
	require.Equal(t, receiver.URL(), attempts[1].URL)
	require.Equal(t, id, attempts[1].RequestHeaders["Webhook-Id"])
	require.NotEmpty(t, attempts[1].ResponseHeaders["Date"])
	require.Positive(t, attempts[1].Duration)

	text, err := json.Marshal(attempts)
	require.NoError(t, err)
	require.Contains(t, string(text), `"response_body":{"base64":"/wAgYnJva2Vu"}`)
	require.Contains(t, string(text), `"response_body":"{\"thanks\":\"é\"}"`)
	require.Contains(t, string(text), `"duration_ms":`)
	var back []struct {
		ResponseBody delivery.Body `json:"response_body"`
	}
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, attempts[0].ResponseBody, back[0].ResponseBody)
	require.Equal(t, attempts[1].ResponseBody, back[1].ResponseBody)
	require.Error(t, json.Unmarshal([]byte(`[{"response_body":{"base64":7}}]`), &back))
	require.Error(t, json.Unmarshal([]byte(`[{"response_body":7}]`), &back))

	msg, err := h.Message(t.Context(), deliveryID)
	require.NoError(t, err)
	require.Equal(t, receiver.Requests()[1].Body, []byte(msg.Body))
	require.Equal(t, "application/json", msg.ContentType)
}

func TestHistory_ShowsAnIntentWithWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	h := b.reader()
	id := b.enqueue(func(in *outbox.Intent) {
		in.Data = json.RawMessage(`{"n": 1}`)
		in.Actor = "grace"
		in.Channel = "ops"
		in.ActiveSite = "/"
		in.Attributes = map[string]string{"ip": "192.0.2.1"}
		in.NotBefore = time.Now().Add(-time.Second)
	})
	pending, err := intentsOf(h.Intents(t.Context(), &delivery.IntentFilter{State: delivery.IntentPending}))
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Nil(t, pending[0].Data)
	b.drain(b.engine(nil))

	in, err := h.Intent(t.Context(), id)

	require.NoError(t, err)
	require.Equal(t, delivery.IntentExpanded, in.State)
	require.JSONEq(t, `{"n": 1}`, string(in.Data))
	require.Equal(t, map[string]string{"ip": "192.0.2.1"}, in.Attributes)
	require.Equal(t, "grace", in.Actor)
	require.NotNil(t, in.EndedAt)
	require.NotNil(t, in.NotBefore)
	for _, f := range []delivery.IntentFilter{
		{Type: "user.*"},
		{Channel: "ops"},
		{Site: "/noaa/nws/oun"},
		{Under: "/noaa"},
		{State: delivery.IntentExpanded},
		{ResourceKind: "user", ResourceID: "ada"},
		{Since: in.CreatedAt},
		{Until: in.CreatedAt.Add(time.Second)},
	} {
		found, err := intentsOf(h.Intents(t.Context(), &f))
		require.NoError(t, err)
		require.Len(t, found, 1, "%+v", f)
	}
	for _, f := range []delivery.IntentFilter{
		{Type: "user.deleted"},
		{Channel: "dev"},
		{Site: "/noaa"},
		{Under: "/noaa/nws/ama"},
		{State: delivery.IntentFailed},
		{ResourceKind: "user", ResourceID: "bob"},
		{Since: in.CreatedAt.Add(time.Second)},
		{Until: in.CreatedAt},
	} {
		found, err := intentsOf(h.Intents(t.Context(), &f))
		require.NoError(t, err)
		require.Empty(t, found, "%+v", f)
	}
}

func TestHistory_WhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	h := b.reader()

	_, err := h.Delivery(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
	_, err = h.Message(t.Context(), uuid.New())
	require.ErrorIs(t, err, delivery.ErrNotFound)
	for _, id := range []string{"", "nobody"} {
		_, err = h.Intent(t.Context(), id)
		require.ErrorIs(t, err, delivery.ErrNotFound)
		require.ErrorIs(t, err, delivery.ErrNotFound)
		_, err = h.Explain(t.Context(), id)
		require.ErrorIs(t, err, delivery.ErrNotFound)
	}
	attempts, err := h.Attempts(t.Context(), uuid.New())
	require.NoError(t, err)
	require.Empty(t, attempts)
}

func TestHistory_HoldsNoSecret(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	created, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:     receiver.URL() + "/hook?token=hunter2",
		Events:  []string{"**"},
		Owner:   "owner",
		Headers: map[string]string{"X-Token": "hunter2", "Authorization": "Bearer hunter2"},
	})
	require.NoError(t, err)
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	h := b.reader()

	require.Equal(t, "hunter2", receiver.Requests()[0].Header.Get("X-Token"))
	deliveries, err := deliveriesOf(h.Deliveries(t.Context(), nil))
	require.NoError(t, err)
	attempts, err := h.Attempts(t.Context(), deliveries[0].ID)
	require.NoError(t, err)
	explanation, err := h.Explain(t.Context(), id)
	require.NoError(t, err)
	ping, _, err := engine.Ping(t.Context(), created.ID, nil)
	require.NoError(t, err)
	text, err := json.Marshal([]any{deliveries, attempts, explanation, ping})
	require.NoError(t, err)
	for _, shown := range []string{string(text), explanation.String()} {
		require.NotContains(t, shown, "hunter2")
		require.NotContains(t, shown, strings.TrimPrefix(created.Secret.Reveal(), "whsec_"))
		require.Contains(t, shown, "/hook?redacted")
	}
}

func TestHistory_ListingsAreFoundByIndex(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect)
			SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(s), 12, '0'))::uuid, '/', 'https://example.com', '{**}', true, 'plain'
			FROM generate_series(1, 50) s;
		INSERT INTO riverhook.intent (id, wire_id, type, site, share, resource_kind, resource_id, digest, occurred_at)
			SELECT (lpad(to_hex(i), 12, '0') || '70008000000000000000')::uuid, 'w' || i, 'user.created', '/', '/', 'user', 'u' || i % 1000, '', now()
			FROM generate_series(1, 20000) i;
		INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, state)
			SELECT i.id, i.id, ('00000000-0000-7000-8000-' || lpad(to_hex(1 + substr(i.wire_id, 2)::int % 50), 12, '0'))::uuid,
				'plain', '/', 1, 'delivered'
			FROM riverhook.intent i`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `ANALYZE riverhook.intent, riverhook.delivery, riverhook.subscription`)
	require.NoError(t, err)
	sub := uuid.MustParse("00000000-0000-7000-8000-000000000007")
	for index, params := range map[string]store.ListDeliveriesParams{
		"delivery_pkey":                          {},
		"delivery_subscription_idx":              {SubscriptionID: &sub},
		"intent_wire_id_key":                     {WireID: "w77"},
		"delivery_intent_id_subscription_id_key": {WireID: "w77"},
		"intent_resource_idx":                    {ResourceKind: "user", ResourceID: "u7"},
	} {
		if params.Before, params.MaxRows = uuid.Max, 100; params.Subscriptions == nil {
			params.Subscriptions = []string{}
		}
		seen := &capture{Pool: pool}
		_, err := store.Filtering(seen, "riverhook").ListDeliveries(t.Context(), &params)
		require.NoError(t, err)
		plan := seen.plan(t)
		require.Contains(t, plan, index)
		require.NotContains(t, plan, "Seq Scan on delivery")
		require.NotContains(t, plan, "Seq Scan on intent")
	}
}

func TestHistory_EachListingIsPlannedForItsFilter(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	cfg, err := pgxpool.ParseConfig(b.pool.Config().ConnString())
	require.NoError(t, err)
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	h, err := delivery.NewHistory(pool, nil)
	require.NoError(t, err)
	for range 10 {
		_, err := h.Deliveries(t.Context(), &delivery.DeliveryFilter{SubscriptionID: uuid.New()})
		require.NoError(t, err)
	}

	var custom, generic int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT custom_plans, generic_plans FROM pg_prepared_statements
		WHERE statement LIKE '-- name: ListDeliveries %'`).Scan(&custom, &generic))
	require.Equal(t, 10, custom)
	require.Zero(t, generic)
}

// capture remembers the last statement of a batch.
type capture struct {
	*pgxpool.Pool

	sql  string
	args []any
}

func (c *capture) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	last := batch.QueuedQueries[len(batch.QueuedQueries)-1]
	c.sql, c.args = last.SQL, last.Arguments
	return c.Pool.SendBatch(ctx, batch)
}

// plan is how Postgres runs the statement for its values.
func (c *capture) plan(t *testing.T) string {
	t.Helper()
	rows, err := c.Pool.Query(t.Context(), "EXPLAIN "+c.sql, c.args...)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(lines, "\n")
}
