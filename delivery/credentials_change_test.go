package delivery_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/subscription"
)

// before calls f once, before the first query of a name.
type before struct {
	query string
	once  *sync.Once
	f     func()
}

func (q before) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "-- name: "+q.query+" ") {
		q.once.Do(q.f)
	}
	return ctx
}

func (before) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// interrupted is an engine that f comes between.
func (b *bundle) interrupted(query string, f func()) *delivery.Engine {
	b.t.Helper()
	return b.apart(func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = before{query, &sync.Once{}, f} })
}

// moved is a subscription of from that is moved to another receiver, with other
// credentials, after an engine has read it and before it has loaded the credentials.
func (b *bundle) moved(from, to *deliverytest.Receiver, change func(spec *subscription.Spec)) (*delivery.Engine, uuid.UUID) {
	b.t.Helper()
	sub := b.subscribe(from, func(spec *subscription.Spec) {
		spec.Credentials.Bearer = "of-from"
		if change != nil {
			change(spec)
		}
	})
	url := to.URL()
	return b.interrupted("LoadEndpointAuths", func() {
		_, err := b.subs.Update(b.t.Context(), sub.ID, subscription.Update{
			URL: &url, Credentials: &subscription.Credentials{Bearer: "of-to"},
		})
		require.NoError(b.t, err)
	}), sub.ID
}

func TestCredentials_OfANewURLAreNotSentToTheFormerOne(t *testing.T) {
	t.Parallel()
	const changed = "its subscription was changed meanwhile"
	for name, c := range map[string]struct {
		change func(spec *subscription.Spec)
		send   func(b *bundle, engine *delivery.Engine, sub uuid.UUID, moved bool)
	}{
		"delivery": {nil, func(b *bundle, engine *delivery.Engine, sub uuid.UUID, moved bool) {
			if moved {
				b.pass(time.Second)
				b.drain(engine)
				return
			}
			id := b.enqueue(nil)
			b.drain(engine)
			d := b.delivery(id, sub)
			require.Equal(b.t, []any{"pending", 0, changed}, []any{d.State, d.Attempts, d.Reason})
		}},
		"question": {
			func(spec *subscription.Spec) { spec.Events = []string{"before:**"} },
			func(b *bundle, engine *delivery.Engine, _ uuid.UUID, moved bool) {
				answer, err := engine.Ask(b.t.Context(), mayDelete())
				require.NoError(b.t, err)
				if !moved {
					require.Equal(b.t, []string{"unanswered: " + changed}, said(answer.Gates))
				}
			},
		},
		"ping": {nil, func(b *bundle, engine *delivery.Engine, sub uuid.UUID, moved bool) {
			_, _, err := engine.Ping(b.t.Context(), sub, nil)
			if moved {
				require.NoError(b.t, err)
			} else {
				require.ErrorContains(b.t, err, changed)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			from, to := b.receiver(nil), b.receiver(nil)
			engine, sub := b.moved(from, to, c.change)
			c.send(b, engine, sub, false)
			require.Empty(t, append(authorizations(from), authorizations(to)...))
			c.send(b, engine, sub, true)
			require.Empty(t, authorizations(from))
			require.Equal(t, []string{"Bearer of-to"}, authorizations(to))
		})
	}
}

func TestVerify_AURLThatIsNotToBeProvenAnyMoreIsNotAsked(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	from, to := newProving(t, nil), newProving(t, nil)
	sub := b.toProve(from.URL, subscription.VerificationChallenge)
	engine := b.interrupted("GetSubscription", func() {
		_, err := b.subs.Update(t.Context(), sub.ID, subscription.Update{
			URL: &to.URL, Credentials: &subscription.Credentials{Bearer: "of-to"},
		})
		require.NoError(t, err)
	})

	_, err := engine.VerifyEndpoint(t.Context(), sub.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	require.Empty(t, from.asked())
	b.pass(time.Minute)
	b.drain(engine)
	require.Len(t, to.asked(), 1)
	require.Equal(t, "Bearer of-to", to.asked()[0].Header.Get("Authorization"))
}
