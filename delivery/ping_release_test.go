package delivery_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

func TestPing_ReleasesWhatWaitsForTheEndpoint(t *testing.T) {
	t.Parallel()
	for name, asks := range map[string]bool{"for its circuit": false, "for the time that it asked for": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			r, sub, ids := b.asksToWait(asks)
			engine := b.engine(nil)
			before := len(r.Requests())
			b.exec(`UPDATE riverhook.subscription_health SET circuit_until = now() + interval '1 h' WHERE circuit_until IS NOT NULL`)
			release := &delivery.PingOpts{Release: true}

			_, _, err := engine.Ping(t.Context(), sub, nil)
			require.NoError(t, err)
			r.Script(deliverytest.Answer{Status: 500})
			a, released, err := engine.Ping(t.Context(), sub, release)
			require.NoError(t, err)
			require.Equal(t, delivery.OutcomeFailed, a.Outcome)
			require.Zero(t, released)
			b.drain(engine)
			require.Len(t, r.Requests(), before+2, "neither releases anything")

			a, released, err = engine.Ping(t.Context(), sub, release)
			require.NoError(t, err)
			require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
			require.Equal(t, len(ids), released)
			require.Equal(t, len(ids), b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold <> '' AND due_at IS NULL`))
			b.drain(engine)
			for _, id := range ids {
				require.Equal(t, "delivered", b.delivery(id, sub).State)
			}
			b.due()
			b.drain(engine)
			require.Len(t, r.Requests(), before+3+len(ids), "each once")
			_, released, err = engine.Ping(t.Context(), sub, release)
			require.NoError(t, err)
			require.Zero(t, released)
		})
	}
}

// What another URL of the same origin has asked for holds for this one too.
func TestPing_EndsAWaitOfTheOrigin(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r, sub, ids := b.asksToWait(true)
	engine := b.engine(nil)
	_, err := b.subs.Update(t.Context(), sub, subscription.Update{URL: new(r.URL() + "/mended")})
	require.NoError(t, err)
	b.drain(engine)
	require.Equal(t, "circuit", b.delivery(ids[len(ids)-1], sub).Hold)

	_, released, err := engine.Ping(t.Context(), sub, &delivery.PingOpts{Release: true})
	require.NoError(t, err)
	require.Equal(t, len(ids), released)
	b.drain(engine)

	for _, id := range ids {
		require.Equal(t, "delivered", b.delivery(id, sub).State)
	}
}

func TestPing_GoesInSteps(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	sub := b.subscribe(b.receiver(nil), nil)
	b.exec(`INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, due_at, job_id)
		SELECT gen_random_uuid(), gen_random_uuid(), $1, 'standard', '/', 1, now() + interval '1 h', 1 FROM generate_series(1, 1001)`, sub.ID)

	_, released, err := engine.Ping(t.Context(), sub.ID, &delivery.PingOpts{Release: true})

	require.NoError(t, err)
	require.Equal(t, 1001, released)
	require.Equal(t, 1001, b.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots' AND job_id IS NULL`))
}

func TestPing_ReleasesNothingElsewhere(t *testing.T) {
	t.Parallel()
	release := &delivery.PingOpts{Release: true}
	b := newBundle(t)
	engine := b.engine(nil)
	_, _, err := engine.Ping(t.Context(), uuid.New(), release)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	var sub subscription.Subscription
	other := b.receiver(nil)
	r := b.receiver(&deliverytest.ReceiverConfig{Answer: func(r deliverytest.Request) deliverytest.Answer {
		if sub.ID != uuid.Nil && r.Header.Get("Webhook-Id") != "" && len(r.Body) > 0 && sub.URL != other.URL() {
			sub.URL = other.URL() // the URL is changed while the ping is under way
			_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{URL: new(other.URL())})
			if err != nil {
				return deliverytest.Answer{Status: 400}
			}
			return deliverytest.Answer{}
		}
		return deliverytest.Answer{Status: 404}
	}})
	created := b.subscribe(r, hourly)
	id := b.enqueue(nil)
	b.drain(engine)
	due := b.dueIn(b.delivery(id, created.ID).ID)
	require.Greater(t, due, 30*time.Minute)
	_, err = b.subs.Pause(t.Context(), created.ID)
	require.NoError(t, err)
	_, released, err := engine.Ping(t.Context(), created.ID, release)
	require.NoError(t, err)
	require.Zero(t, released, "it was answered 404")
	_, err = b.subs.Activate(t.Context(), created.ID, nil)
	require.NoError(t, err)

	sub = created
	a, released, err := engine.Ping(t.Context(), created.ID, release)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	require.Zero(t, released, "it was another endpoint")

	_, err = b.subs.Pause(t.Context(), created.ID)
	require.NoError(t, err)
	a, released, err = engine.Ping(t.Context(), created.ID, release)
	require.NoError(t, err)
	require.Equal(t, delivery.OutcomeDelivered, a.Outcome)
	require.Zero(t, released, "it is paused")
	require.Greater(t, b.dueIn(b.delivery(id, created.ID).ID), 30*time.Minute)
}
