package delivery_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

const notOpened = "its credentials, headers or TLS settings cannot be opened in the process that tried"

// carrying subscribes a receiver with a token and a sealed header.
func (b *bundle) carrying(r *deliverytest.Receiver) subscription.Subscription {
	b.t.Helper()
	return b.subscribe(r, func(spec *subscription.Spec) {
		spec.Credentials, spec.SecretHeaders = subscription.Credentials{Bearer: "b34rer"}, map[string]string{"X-Key": "k3y"}
	})
}

// What may write the table of subscriptions has no key: it must not get at credentials by a URL of
// its own, also where an engine has opened them already.
func TestCredentials_DoNotFollowAURLThatWasChangedInTheDatabase(t *testing.T) {
	t.Parallel()
	for name, opened := range map[string]bool{"before they were opened": false, "after they were opened": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			engine := b.engine(nil)
			r, thief := b.receiver(nil), b.receiver(nil)
			sub := b.carrying(r)
			if opened {
				b.enqueue(nil)
				b.drain(engine)
				require.Equal(t, []string{"Bearer b34rer"}, authorizations(r))
			}
			b.exec(`UPDATE riverhook.subscription SET url = $2 WHERE id = $1`, sub.ID, thief.URL())

			id := b.enqueue(nil)
			b.drain(engine)

			require.Empty(t, thief.Requests())
			require.Equal(t, []string{"pending", notOpened}, []string{b.delivery(id, sub.ID).State, b.delivery(id, sub.ID).Reason})
			_, _, err := engine.Ping(t.Context(), sub.ID, nil)
			require.ErrorContains(t, err, "endpoint credentials")
			require.Empty(t, thief.Requests())

			b.exec(`UPDATE riverhook.subscription SET url = $2 WHERE id = $1`, sub.ID, r.URL()+"/another/path?of=the-same-origin")
			b.drainAhead(engine, time.Hour)
			require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
		})
	}
}

func TestCredentials_DoNotFollowAURLThatWaitsForItsProof(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		statement string
		asked     int
	}{
		"the first one": {`UPDATE riverhook.subscription SET url = $2 WHERE id = $1`, 0},
		"one beside that in force": {`UPDATE riverhook.subscription
			SET state = 'active', verified_at = now(), pending_url = $2 WHERE id = $1`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			p, thief := newProving(t, nil), newProving(t, nil)
			engine := b.engine(withOrigin)
			created, err := engine.Subscriptions().Create(t.Context(), subscription.Spec{
				URL:           p.URL,
				Events:        []string{"**"},
				Owner:         "owner",
				Verification:  subscription.VerificationChallenge,
				Credentials:   subscription.Credentials{Bearer: "b34rer"},
				SecretHeaders: map[string]string{"X-Key": "k3y"},
			})
			require.NoError(t, err)
			b.exec(tc.statement, created.ID, thief.URL)
			b.exec(`UPDATE riverhook.endpoint_challenge SET url = $2 WHERE subscription_id = $1`, created.ID, thief.URL)

			_, err = engine.VerifyEndpoint(t.Context(), created.ID)

			require.Equal(t, tc.asked == 0, err != nil)
			require.Len(t, thief.asked(), tc.asked)
			for _, request := range thief.asked() {
				require.Empty(t, request.Header.Get("Authorization"))
				require.Empty(t, request.Header.Get("X-Key"))
			}
		})
	}
}

func TestCredentials_GoWithAURLThatIsChangedByTheAPI(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	engine := b.engine(nil)
	first, second := b.receiver(nil), b.receiver(nil)
	sub := b.carrying(first)
	require.NoError(t, second.Trust(b.secret(sub.ID)))
	update := func(u subscription.Update) {
		t.Helper()
		_, err := b.subs.Update(t.Context(), sub.ID, u)
		require.NoError(t, err)
		id := b.enqueue(nil)
		b.drain(engine)
		require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	}

	update(subscription.Update{URL: new(first.URL() + "/path")})
	update(subscription.Update{Credentials: &subscription.Credentials{Bearer: "second"}})
	update(subscription.Update{
		URL:           new(second.URL()),
		Credentials:   &subscription.Credentials{Bearer: "third"},
		SecretHeaders: &map[string]string{"X-Key": "k3y"},
	})
	_, err := b.subs.Reseal(t.Context(), nil)
	require.NoError(t, err)
	update(subscription.Update{SecretHeaders: &map[string]string{"X-Key": "k4y"}})

	require.Equal(t, []string{"Bearer b34rer", "Bearer second"}, authorizations(first))
	require.Equal(t, []string{"Bearer third", "Bearer third"}, authorizations(second))
	require.Equal(t, "k4y", second.Requests()[1].Header.Get("X-Key"))
}

// A URL that was changed by hand is put right by the API, and then what is sealed is given again.
func TestCredentials_AreGivenAgainAfterTheURLWasPutRight(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	r := b.receiver(nil)
	sub := b.carrying(r)
	b.exec(`UPDATE riverhook.subscription SET url = 'https://thief.example' WHERE id = $1`, sub.ID)
	spec := subscription.Spec{
		URL:           r.URL(),
		Events:        []string{"**"},
		Owner:         "owner",
		Schedule:      "soon",
		Credentials:   subscription.Credentials{Bearer: "b34rer"},
		SecretHeaders: map[string]string{"X-Key": "k3y"},
	}

	u, err := b.subs.Diff(t.Context(), sub.ID, spec)

	require.NoError(t, err)
	_, err = b.subs.Update(t.Context(), sub.ID, u)
	require.NoError(t, err)
	id := b.enqueue(nil)
	b.drain(b.engine(nil))
	require.Equal(t, "delivered", b.delivery(id, sub.ID).State)
	require.Equal(t, []string{"Bearer b34rer"}, authorizations(r))
}

// secret is the one that a subscription's requests are signed with.
func (b *bundle) secret(id uuid.UUID) subscription.Secret {
	b.t.Helper()
	secrets, err := b.subs.Secrets(b.t.Context(), id)
	require.NoError(b.t, err)
	return secrets[0]
}
