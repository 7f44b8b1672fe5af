package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

func ofBase(t *testing.T, name string, base dialect.Dialect, schedule string) dialect.Dialect {
	t.Helper()
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		Base:     base,
		Name:     name,
		Schedule: schedule,
	})
	require.NoError(t, err)
	return d
}

func TestSchedule_OfADialectIsThatOfASubscriptionThatNamesNone(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	dialects, err := dialect.NewRegistry(append(dialect.BuiltIn(),
		ofBase(t, "own", dialect.Hub(), "hourly"),
		ofBase(t, "py-based", dialect.PyWebhooks(), ""),
		ofBase(t, "py-standard", dialect.PyWebhooks(), "standard"),
	)...)
	require.NoError(t, err)
	b.cfg.Dialects = dialects
	engine := b.engine(nil)
	b.subs = engine.Subscriptions()

	type want struct {
		wait     time.Duration
		jitter   float64
		attempts int // in all; 0 is not looked at
	}
	for _, tc := range []struct {
		dialect, schedule string
		want              want
	}{
		{"pywebhooks", "", want{wait: 2 * time.Minute, attempts: 4}},
		{"py-based", "", want{wait: 2 * time.Minute}},
		{"py-standard", "", want{wait: 5 * time.Second, jitter: 0.2}},
		{"servo", "", want{
			wait:     time.Second,
			jitter:   0.3,
			attempts: 12,
		}},
		{"servo", "servo-3-9s", want{
			wait:     time.Second,
			jitter:   0.3,
			attempts: 3,
		}},
		{"own", "", want{wait: time.Hour}},
		{"pywebhooks", "hourly", want{wait: time.Hour}},
		{"hub", "", want{wait: 5 * time.Second, jitter: 0.2}},
		{"", "", want{wait: 5 * time.Second, jitter: 0.2}},
	} {
		r := b.receiver(&deliverytest.ReceiverConfig{
			Answer: func(deliverytest.Request) deliverytest.Answer { return deliverytest.Answer{Status: 422} }, Verifier: dialect.Unsigned(),
		})
		sub := b.subscribe(r, func(spec *subscription.Spec) { spec.Dialect, spec.Schedule = tc.dialect, tc.schedule })
		id := b.enqueue(nil)
		b.drain(engine)
		d := b.delivery(id, sub.ID)
		require.Equal(t, "pending", d.State, tc)
		require.InDelta(t, tc.want.wait, b.dueIn(d.ID), tc.want.jitter*float64(tc.want.wait)+float64(time.Second), "%+v", tc)
		if tc.want.attempts > 0 {
			b.drainAhead(engine, 2*time.Hour)
			require.Equal(t, "exhausted", b.delivery(id, sub.ID).State, tc)
			require.Len(t, r.Requests(), tc.want.attempts, tc)
		}
		require.NoError(t, b.subs.Delete(t.Context(), sub.ID))
	}
	_, err = b.subs.Create(t.Context(), subscription.Spec{
		URL:      "https://example.com",
		Events:   []string{"**"},
		Owner:    "owner",
		Schedule: "servo-500-9s",
	})
	require.ErrorContains(t, err, `Schedule: "servo-500-9s" is not known; known are hourly, none`)
}

func TestSchedule_OfADialectMustBeKnown(t *testing.T) {
	t.Parallel()
	dialects, err := dialect.NewRegistry(ofBase(t, "acme", nil, "nosuch"))
	require.NoError(t, err)
	_, err = delivery.New(newBundle(t).pool, &delivery.Config{Dialects: dialects, Sealer: sealer()})
	require.EqualError(t, err, `delivery: config: Dialects: "acme" brings the schedule "nosuch", which is not known; add it to Schedules`)
	_, err = dialect.NewCustom(&dialect.CustomConfig{Name: "acme", Schedule: "No such"})
	require.ErrorContains(t, err, "CustomConfig.Schedule")
}
