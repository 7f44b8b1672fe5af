package delivery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

func TestExpand_AMessageThatIsTooLargeFailsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	const most = 1000
	for name, c := range map[string]struct {
		data        int // bytes of JSON
		externalize bool
		reason      string // "": it is sent
	}{
		"data that is too large":          {most + 1, false, "the data has 1001 bytes; Config.Limits.RequestBytes allows 1000"},
		"data that is externalized":       {most + 1, true, "externalizer: the data has 1001 bytes; Config.Limits.RequestBytes allows 1000"},
		"a message that is too large":     {most, false, " bytes; Config.Limits.RequestBytes allows 1000"},
		"a message that is small enough":  {most / 2, false, ""},
		"an external one that is as well": {most / 2, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var logged log
			r := b.receiver(nil)
			sub := b.subscribe(r, nil)
			data := json.RawMessage(`"` + strings.Repeat("x", c.data-2) + `"`)
			bounded := func(cfg *delivery.Config) {
				cfg.Limits.RequestBytes, cfg.Logger = most, logged.logger()
				if c.externalize {
					cfg.Externalize.Tries = 1
					cfg.Externalize.Registry = externalize(t, "", func(context.Context, dialect.Event) ([]byte, error) { return data, nil })
				}
			}
			id := b.enqueue(func(in *outbox.Intent) {
				if !c.externalize {
					in.Data = data
				}
			})

			b.drain(b.engine(bounded))

			if c.reason == "" {
				require.Len(t, r.Requests(), 1)
				return
			}
			require.Empty(t, r.Requests())
			require.Empty(t, b.deliveries(id))
			require.Equal(t, "failed", b.decisions(id)[sub.ID][0])
			require.Contains(t, b.decisions(id)[sub.ID][1], c.reason)
			require.Contains(t, logged.String(), "decisions failed")
			require.Zero(t, b.count(`SELECT count(*) FROM riverhook.message`))

			roomy := b.engine(func(cfg *delivery.Config) {
				bounded(cfg)
				cfg.Limits.RequestBytes = 0
			})
			n, err := roomy.RetryFailed(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			b.drain(roomy)
			require.Len(t, r.Requests(), 1)
			require.Contains(t, string(r.Requests()[0].Body), string(data))
		})
	}
}

// longRequests adds to each request what is not in its message.
type longRequests struct{ dialect.Dialect }

func (longRequests) Name() string { return "long" }

func (d longRequests) Request(msg dialect.Message, to dialect.Destination, at dialect.Attempt) (dialect.Request, error) {
	req, err := d.Dialect.Request(msg, to, at)
	req.Body = append(req.Body, make([]byte, 2000)...)
	return req, err
}

func TestSend_ARequestThatIsTooLargeIsNotSent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Dialects = b.dialects()
	require.NoError(t, b.cfg.Dialects.Register(longRequests{dialect.Standard()}))
	b.cfg.Limits.RequestBytes = 2000
	engine := b.engine(nil)
	b.subs = engine.Subscriptions()
	r, sub := b.listen("long")

	id := b.enqueue(nil)
	b.drain(engine)

	require.Empty(t, r.Requests())
	d := b.delivery(id, sub)
	require.Equal(t, []string{"failed"}, b.outcomes(d.ID))
	require.Contains(t, b.text(`SELECT error FROM riverhook.attempt`), "dialect: the request has 2")
	_, _, err := engine.Ping(t.Context(), sub, nil)
	require.ErrorContains(t, err, "Config.Limits.RequestBytes allows 2000")
}

func TestHistory_KeepsABoundedPartOfTheHeadersOfAnAnswer(t *testing.T) {
	t.Parallel()
	headers := func(n, size int) http.Header {
		h := http.Header{}
		for i := range n {
			h.Set(fmt.Sprintf("X-H%03d", i), strings.Repeat("x", size))
		}
		return h
	}
	for name, c := range map[string]struct {
		headers   http.Header
		most      int
		truncated bool
	}{
		"few":               {headers(10, 10), 20, false},
		"many":              {headers(500, 10), 100, true},
		"long":              {headers(50, 1000), 20, true},
		"one that is large": {headers(1, 20<<10), 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r := b.always(deliverytest.Answer{Header: c.headers})
			b.subscribe(r, nil)

			id := b.enqueue(nil)
			b.drain(b.engine(nil))

			attempts, err := b.reader().Attempts(t.Context(), b.deliveries(id)[0].ID)
			require.NoError(t, err)
			require.Equal(t, delivery.OutcomeDelivered, attempts[0].Outcome)
			require.Equal(t, c.truncated, attempts[0].ResponseTruncated)
			require.LessOrEqual(t, len(attempts[0].ResponseHeaders), c.most)
			require.NotEmpty(t, attempts[0].ResponseHeaders)
		})
	}
}

func TestConfig_AnEnginesSubscriptionsHaveItsLimits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	spec := subscription.Spec{
		URL:    "https://example.com/",
		Events: []string{"**"},
		Owner:  "owner",
	}
	for limit, set := range map[string]func(cfg *delivery.Config){
		"MaxPerOwner": func(cfg *delivery.Config) { cfg.Limits.SubscriptionsPerOwner = 1 },
		"MaxPerSite":  func(cfg *delivery.Config) { cfg.Limits.SubscriptionsPerSite = 1 },
	} {
		spec.Site = hierarchy.Path("/" + limit)
		spec.Owner = limit
		subs := b.engine(set).Subscriptions()
		_, err := subs.Create(t.Context(), spec)
		require.NoError(t, err)
		_, err = subs.Create(t.Context(), spec)
		require.ErrorContains(t, err, limit)
		require.ErrorIs(t, err, subscription.ErrLimit)
	}
}

// Neither the application nor a principal makes a subscription that asks for more than the
// engine gives, nor makes one of what is there.
func TestConfig_NoSubscriptionMayAskForMoreThanTheMost(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	subs := b.engine(func(cfg *delivery.Config) {
		cfg.Limits.InFlightPerEndpoint, cfg.Limits.MaxInFlightPerEndpoint = 2, 3
		cfg.Limits.MaxRate = subscription.Rate{Events: 5, Burst: 7}
		cfg.Timeouts.Request, cfg.Timeouts.MaxRequest = time.Second, 2*time.Second
	}).Subscriptions()
	mayAll := subs.As("owner", access.AuthorizerFunc(func(context.Context, access.Action) error { return nil }))
	spec := subscription.Spec{
		URL:         "https://example.com/",
		Events:      []string{"**"},
		Owner:       "owner",
		MaxInFlight: 3,
		Timeout:     2 * time.Second,
	}
	created, err := mayAll.Create(t.Context(), spec)
	require.NoError(t, err)
	for field, update := range map[string]subscription.Update{
		"MaxInFlight: is 4; must be 1 to 3":                {MaxInFlight: new(4)},
		"Timeout: is 3s; must be 1s to 2s":                 {Timeout: new(3 * time.Second)},
		"Rate.Events: is 6 in 1s; must be at most 5 in 1s": {Rate: &subscription.Rate{Events: 6}},
		"Rate.Burst: is 8; must be at most 7":              {Rate: &subscription.Rate{Events: 5, Burst: 8}},
	} {
		more := spec
		switch {
		case update.MaxInFlight != nil:
			more.MaxInFlight = *update.MaxInFlight
		case update.Rate != nil:
			more.Rate = *update.Rate
		default:
			more.Timeout = *update.Timeout
		}
		_, err := subs.Create(t.Context(), more)
		require.ErrorContains(t, err, field)
		_, err = mayAll.Create(t.Context(), more)
		require.ErrorContains(t, err, field)
		_, err = subs.Update(t.Context(), created.ID, update)
		require.ErrorContains(t, err, field)
		_, err = mayAll.Update(t.Context(), created.ID, update)
		require.ErrorContains(t, err, field)
	}
}

// What was stored before the limits came is bounded by them.
func TestConfig_WhatIsStoredAsksForNoMoreThanTheMost(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	hanging := b.always(deliverytest.Answer{Hang: true})
	b.subscribe(hanging, func(spec *subscription.Spec) {
		spec.MaxInFlight = 100
	})
	engine := b.engine(func(cfg *delivery.Config) {
		cfg.Limits.InFlightPerEndpoint, cfg.Limits.MaxInFlightPerEndpoint = 2, 3
		cfg.Timeouts.Stop = time.Millisecond
	})
	require.NoError(t, engine.Start(t.Context()))
	t.Cleanup(func() { require.Error(t, engine.Stop(context.Background()), "requests were interrupted") })

	b.enqueueMany("many.events", 10)

	b.wait(hanging, 3)
	b.eventually(func() bool { return b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots'`) == 7 })
	require.Len(t, hanging.Requests(), 3)
}

func TestConfig_WhatIsStoredTakesNoLongerThanTheMost(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.subscribe(b.always(deliverytest.Answer{Hang: true}), func(spec *subscription.Spec) {
		spec.Schedule, spec.Timeout = "none", time.Minute
	})
	b.enqueue(nil)

	b.drain(b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Request, cfg.Timeouts.MaxRequest = time.Second, time.Second }))

	require.Equal(t, 1, b.count(`SELECT count(*) FROM riverhook.attempt WHERE outcome = 'timeout' AND duration_us < 20000000`))
}
