package delivery_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/subscription"
)

// An endpoint refuses a signature that is more than five minutes old or young.
func TestClock_ReceiversGetThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": 6 * time.Minute, "behind": -6 * time.Minute} {
		for state, started := range map[string]bool{"started": true, "not started": false} {
			t.Run(name+", "+state, func(t *testing.T) {
				t.Parallel()
				b := clockBundle(t)
				b.jump(ahead)
				secret, err := dialect.NewSecret(bytes.Repeat([]byte{7}, 32))
				require.NoError(t, err)
				var refused atomic.Int32
				answer := receiver.AnswerChallenges(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), []dialect.Secret{secret}, &dialect.VerifyRequestOpts{
						Now: func() time.Time { return time.Now().Add(ahead) },
					})
					if err != nil {
						refused.Add(1)
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					answer.ServeHTTP(w, r)
				}))
				t.Cleanup(server.Close)
				engine := b.engine(nil)
				if started {
					b.start(engine)
				}
				created, err := b.subs.Create(t.Context(), subscription.Spec{
					URL:          server.URL,
					Events:       []string{"**", "before:**"},
					Owner:        "owner",
					Secret:       secret,
					Verification: subscription.VerificationChallenge,
				})
				require.NoError(t, err)

				if started { // it asks by itself
					b.eventually(func() bool {
						sub, err := b.subs.Get(t.Context(), created.ID)
						return err == nil && sub.VerifiedAt != nil
					})
				} else {
					a, err := engine.VerifyEndpoint(t.Context(), created.ID)
					require.NoError(t, err)
					require.Equal(t, delivery.OutcomeDelivered, a.Outcome, a.Error)
				}
				a, _, err := engine.Ping(t.Context(), created.ID, nil)
				require.NoError(t, err)
				require.Equal(t, delivery.OutcomeDelivered, a.Outcome, a.Error)
				asked, err := engine.Ask(t.Context(), mayDelete())
				require.NoError(t, err)
				require.Equal(t, []string{"agreed"}, said(asked.Gates))
				id := b.enqueue(func(in *outbox.Intent) { in.Site = "/" })
				if !started {
					b.drain(engine)
				}
				b.eventually(func() bool { d := b.deliveries(id); return len(d) == 1 && d[0].State == "delivered" })

				require.Zero(t, refused.Load())
			})
		}
	}
}
