package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// hostile subscribes a server to the events of a type.
func (b *bundle) hostile(server deliverytest.HostileServer, eventType string) uuid.UUID {
	b.t.Helper()
	created, err := b.subs.Create(b.t.Context(), subscription.Spec{
		Name:     server.Name,
		URL:      server.Start(b.t),
		Events:   []string{eventType},
		Operator: true,
		Schedule: "none",
	})
	require.NoError(b.t, err)
	return created.ID
}

func TestAttempt_AtEachHostileServerIsBoundedAndClassified(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	// Those that keep an attempt have less time than those that must be judged in it.
	b.cfg.Transport.RootCAs = deliverytest.HostileRootCAs()
	b.cfg.Verification.HostInterval = -1 // a port of one that was closed can be that of the next
	patient := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Request = time.Minute })
	hurried := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Request = time.Second })
	for _, server := range deliverytest.HostileServers() {
		t.Run(server.Name, func(t *testing.T) {
			t.Parallel()
			b := *b
			b.t = t
			sub, engine := b.hostile(server, "hostile.event"), patient
			if server.Outcome == delivery.OutcomeTimeout {
				engine = hurried
			}

			// Twice, since the second can meet what the first has left of a connection.
			for range 2 {
				a, _, err := engine.Ping(t.Context(), sub, nil)
				require.NoError(t, err)
				require.Equal(t, server.Outcome, a.Outcome, a.Error)
				class, _, _ := strings.Cut(a.Error, ":")
				require.Equal(t, server.Class, class, a.Error)
				require.LessOrEqual(t, len(a.ResponseBody), 16<<10)
				require.LessOrEqual(t, len(a.ResponseHeaders), 100)
			}

			// A challenge, which no hostile server answers as it should.
			proof, err := b.subs.Create(t.Context(), subscription.Spec{
				URL:          server.Start(t),
				Events:       []string{"hostile.event"},
				Operator:     true,
				Verification: subscription.VerificationChallenge,
			})
			require.NoError(t, err)
			a, err := engine.VerifyEndpoint(t.Context(), proof.ID)
			require.NoError(t, err)
			if server.Outcome == delivery.OutcomeDelivered {
				require.Equal(t, "proof: the answer does not prove that the endpoint wants requests", a.Error)
			} else {
				require.Equal(t, server.Outcome, a.Outcome, a.Error)
			}
			require.Equal(t, subscription.StatePendingVerification, b.subscription(proof.ID).State)
		})
	}
}

func TestSend_BesideHostileServersAGoodEndpointGetsItsDeliveries(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Timeouts.Request, b.cfg.Transport.RootCAs = time.Minute, deliverytest.HostileRootCAs()
	var silent uuid.UUID
	for _, server := range deliverytest.HostileServers() {
		if id := b.hostile(server, "**"); server.Name == "silence" {
			silent = id
		}
	}
	good := b.receiver(nil)
	b.subscribe(good, nil)
	engine := b.engine(func(cfg *delivery.Config) { cfg.Timeouts.Stop = time.Millisecond })
	require.NoError(t, engine.Start(t.Context()))

	b.enqueueMany("some.event", 20)

	_, err := good.Wait(t.Context(), 20)
	require.NoError(t, err)
	require.Zero(t, b.count(`SELECT count(*) FROM riverhook.attempt a JOIN riverhook.delivery d ON d.id = a.delivery_id
		WHERE d.subscription_id = $1`, silent), "it keeps its requests still")
	require.ErrorContains(t, engine.Stop(t.Context()), "interrupted")
}

// A gate can be such a server: a question to it ends in time, and the others are asked.
func TestAsk_HostileServersAreGatesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.cfg.Timeouts.Request, b.cfg.Transport.RootCAs = time.Minute, deliverytest.HostileRootCAs()
	servers := map[uuid.UUID]deliverytest.HostileServer{}
	for _, server := range deliverytest.HostileServers() {
		servers[b.hostile(server, "before:**")] = server
	}
	good := b.receiver(nil)
	b.gate(good, failClosed)
	q := mayDelete()
	q.Timeout = 3 * time.Second

	answer, err := b.engine(nil).Ask(t.Context(), q)

	require.NoError(t, err, "they fail open")
	require.NoError(t, answer.Unrecorded)
	require.Len(t, answer.Gates, len(servers)+1)
	for _, g := range answer.Gates {
		server, hostile := servers[g.SubscriptionID]
		want := delivery.GateUnanswered
		if !hostile || server.Outcome == delivery.OutcomeDelivered {
			want = delivery.GateAgreed
		}
		if server.Class != "body" { // enough of it may come in this time
			require.Equal(t, want, g.Outcome, "%s: %s", server.Name, g.Reason)
		}
		require.LessOrEqual(t, len(g.Reason), 300)
	}
	require.Len(t, good.Requests(), 1)
}
