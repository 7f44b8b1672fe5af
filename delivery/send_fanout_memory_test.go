package delivery_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// No endpoint answers, so that what the engine holds of a large fan-out is in its
// memory all at once: about 55 MiB. With all the subscriptions in one chunk, or as a
// whole with each delivery, it would be at least 130, with a body for each 600.
func TestFanOut_ALargeOneIsExpandedInBoundedMemory(t *testing.T) {
	t.Parallel()
	const (
		subscriptions = 10_000
		description   = 8_000 // bytes, of each subscription
		body          = 50_000
		bound         = 96 << 20 // of the engine's heap at its largest, garbage included
	)
	b := newBundle(t)
	var arrived atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(receiver.Close)
	_, err := b.subs.Create(t.Context(), subscription.Spec{
		URL:         receiver.URL,
		Events:      []string{"**"},
		Operator:    true,
		Description: strings.Repeat("é", description/2),
	})
	require.NoError(t, err)
	b.exec(`INSERT INTO riverhook.subscription (id, site, url, events, operator, dialect, description)
		SELECT riverhook.new_id(), site, url, events, operator, dialect, description
		FROM riverhook.subscription CROSS JOIN generate_series(2, $1)`, subscriptions)
	b.exec(`INSERT INTO riverhook.secret (id, subscription_id, value, sealed)
		SELECT s.id, s.id, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', false
		FROM riverhook.subscription s JOIN riverhook.secret k ON s.id <> k.subscription_id`)
	b.enqueue(func(in *outbox.Intent) { in.Data = strings.Repeat("d", body) })

	engine := startChild(t, childTask{
		Role:     "engine",
		Database: b.pool.Config().ConnString(),
		EngineID: "engine",
	})
	engine.awaitStart(t)
	b.eventually(func() bool {
		return arrived.Load() >= 32 && b.text(`SELECT state FROM riverhook.intent_state`) == "expanded"
	})

	require.Less(t, engine.end(t), bound)
	engine.kill(t)
	require.Equal(t, subscriptions, b.count(`SELECT count(*) FROM riverhook.delivery`))
	require.Equal(t, subscriptions, b.count(`SELECT count(DISTINCT subscription_id) FROM riverhook.delivery`))
}
