package delivery_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// What docs/operations.md says of a request that is out when its subscription is deactivated.
func TestDeactivate_WhileARequestIsOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status        int
		schedule      string
		atOnce, later string
	}{
		"answered with success":                {http.StatusNoContent, "twice", "delivered", "delivered"},
		"answered with an error":               {http.StatusInternalServerError, "twice", "pending", "cancelled"},
		"answered with an error, the last one": {http.StatusInternalServerError, "none", "exhausted", "exhausted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			var sub *subscription.Created
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := b.subs.Deactivate(r.Context(), sub.ID, "by hand"); err != nil {
					panic(err)
				}
				w.WriteHeader(tc.status)
			}))
			t.Cleanup(server.Close)
			var err error
			sub, err = b.subs.Create(t.Context(), subscription.Spec{
				URL:      server.URL,
				Events:   []string{"**"},
				Owner:    "owner",
				Schedule: tc.schedule,
			})
			require.NoError(t, err)
			engine := b.engine(nil)

			id := b.enqueue(nil)
			b.drain(engine)

			d := b.delivery(id, sub.ID)
			require.Equal(t, tc.atOnce, d.State)
			attempts, err := engine.History().Attempts(t.Context(), d.ID)
			require.NoError(t, err)
			require.Len(t, attempts, 1)
			require.Equal(t, tc.status, attempts[0].Status)
			b.drainAhead(engine, 2*time.Hour)
			require.Equal(t, tc.later, b.delivery(id, sub.ID).State)
		})
	}
}

// A reason that counts one says so.
func TestReason_OfAScheduleWithOneAttempt(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	r.Script(deliverytest.Answer{Status: 500})
	sub := b.subscribe(r, func(spec *subscription.Spec) {
		spec.Schedule, spec.Deactivation = delivery.ScheduleNone, &subscription.DeactivationRules{Failures: 1}
	})
	engine := b.engine(nil)
	id := b.enqueue(nil)
	b.drain(engine)
	require.NoError(t, engine.Maintain(t.Context()))
	require.Equal(t, "the only attempt of the schedule has failed", b.delivery(id, sub.ID).Reason)
	require.Equal(t, "1 attempt has failed", b.subscription(sub.ID).StateReason)
}

func TestCreate_AnUnknownScheduleListsNamesInOrder(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for range 5 {
		_, err := b.engine(nil).Subscriptions().Create(t.Context(), subscription.Spec{
			URL:      "https://example.com",
			Events:   []string{"**"},
			Owner:    "owner",
			Schedule: "nosuch",
		})
		require.ErrorContains(t, err, `Schedule: "nosuch" is not known; known are `+
			"hourly, none, patient, pywebhooks, quick, seconds, servo, soon, standard, svix, twice")
	}
}
