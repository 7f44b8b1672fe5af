package send_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/subscription"
)

// delivery is a pending delivery to a subscription, in the database, of River job 1.
func (b *bundle) delivery(sub *subscription.Subscription) uuid.UUID {
	b.t.Helper()
	intent, id := uuid.New(), uuid.New()
	for _, statement := range []string{
		`INSERT INTO riverhook.intent (id, wire_id, type, site, share, data, occurred_at)
			VALUES ($1::uuid, $1::uuid::text, 'a.b', '/', '/', '{}', now())`,
		`INSERT INTO riverhook.message (intent_id, dialect, content_type, body) VALUES ($1, 'plain', 'application/json', '{}')`,
	} {
		_, err := b.pool.Exec(b.t.Context(), statement, intent)
		require.NoError(b.t, err)
	}
	_, err := b.pool.Exec(b.t.Context(), `
		INSERT INTO riverhook.delivery (id, intent_id, subscription_id, dialect, matched_site, epoch, job_id)
		VALUES ($1, $2, $3, 'plain', '/', $4, 1)`, id, intent, sub.ID, sub.Epoch)
	require.NoError(b.t, err)
	return id
}

func (b *bundle) subscribe() *subscription.Subscription {
	b.t.Helper()
	created, err := b.Subscriptions.Create(b.t.Context(), subscription.Spec{
		Dialect:     "plain",
		Events:      []string{"**"},
		Headers:     map[string]string{"X-Tenant": "acme"},
		MaxInFlight: 3,
		Owner:       "acme",
		Permission:  "read",
		Schedule:    "twice",
		Site:        "/",
		Timeout:     3 * time.Second,
		URL:         "https://example.com/hooks",
	})
	require.NoError(b.t, err)
	return &created.Subscription
}

func TestLoader_SubscriptionIsTheSameFromEachSource(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 1, func(http.ResponseWriter, *http.Request) {})
	sub := b.subscribe()
	_, err := b.Subscriptions.Pause(t.Context(), sub.ID)
	require.NoError(t, err)
	sub, err = b.Subscriptions.Get(t.Context(), sub.ID)
	require.NoError(t, err)
	want := send.Subscription(sub)
	require.NotEmpty(t, want.Waits)

	in, err := b.Loader.Load(t.Context(), callbacks.JobRef{JobID: 1}, b.delivery(sub), nil)
	require.NoError(t, err)
	defer in.Payloads.Release()
	require.Equal(t, want, in.Sub)
	in.Sub = attempt.Subscription{ID: sub.ID, Site: want.Site} // that is not read again: it only says whose turn it is
	still, err := b.Requester.Rereader.Refresh(t.Context(), in)
	require.NoError(t, err)
	require.True(t, still)
	require.Equal(t, want, in.Sub)
}

func TestLoader_LeavesWhatHasMovedOn(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 1, func(http.ResponseWriter, *http.Request) {})
	sub := b.subscribe()
	id, ctx := b.delivery(sub), t.Context()
	loader := b.Loader
	again := b.Requester.Rereader
	other, err := loader.Load(ctx, callbacks.JobRef{JobID: 2}, id, nil)
	require.NoError(t, err)
	require.Nil(t, other, "another job has it")

	in, err := loader.Load(ctx, callbacks.JobRef{JobID: 1}, id, nil)
	require.NoError(t, err)
	defer in.Payloads.Release()
	in.AccessAt = time.Now()
	require.True(t, b.Requester.IsCurrent(ctx, in))
	again.After = -1
	require.True(t, b.Requester.IsCurrent(ctx, in))

	require.NoError(t, b.Subscriptions.Delete(ctx, sub.ID))
	require.False(t, b.Requester.IsCurrent(ctx, in), "its subscription was deleted")
	_, err = b.pool.Exec(ctx, `UPDATE riverhook.delivery SET attempt_seq = 1 WHERE id = $1`, id)
	require.NoError(t, err)
	still, err := again.Refresh(ctx, in)
	require.NoError(t, err)
	require.False(t, still)

	left, err := loader.Left(ctx, callbacks.JobRef{JobID: 1}, in.IntentID, nil)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{id}, left)
	left, err = loader.Left(ctx, callbacks.JobRef{JobID: 1}, in.IntentID, []*send.Input{in})
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestLoader_WaitsForTheBytesOfADelivery(t *testing.T) {
	t.Parallel()
	b := newBundle(t, 1, func(http.ResponseWriter, *http.Request) {})
	id := b.delivery(b.subscribe())
	ctx := t.Context()
	by := callbacks.JobRef{JobID: 1}
	const large, most = 2 * payloads.Inline, 1 << 20
	_, err := b.pool.Exec(ctx, `UPDATE riverhook.message SET body = convert_to(repeat('b', $1), 'UTF8')`, large)
	require.NoError(t, err)
	_, err = b.pool.Exec(ctx, `UPDATE riverhook.intent SET data = convert_to(repeat('d', $1), 'UTF8')`, large+1)
	require.NoError(t, err)
	pool := payloads.New(payloads.Config{
		Bytes:   most,
		MaxWait: time.Millisecond,
		Store:   b.Queries,
	})
	t.Cleanup(pool.Close)
	loader := send.NewLoader(&send.LoaderConfig{
		Calls:    b.Calls,
		Payloads: pool,
		Rereader: b.Requester.Rereader,
		Store:    b.Queries,
		Turns:    turns.NewAdmission(10),
	})
	t.Cleanup(loader.Close)

	pool.Count(most)
	_, err = loader.Load(ctx, by, id, nil)
	require.ErrorIs(t, err, payloads.ErrFull)
	require.True(t, callbacks.IsStall(err), "nothing has happened")
	held, ok := pool.Try(payloads.Want{})
	require.True(t, ok)
	in, err := loader.Load(ctx, by, id, held)
	require.NoError(t, err)
	require.Same(t, held, in.Payloads, "its job has taken what it needs")

	pool.Uncount(most)
	in, err = loader.Load(ctx, by, id, nil)
	require.NoError(t, err)
	require.Equal(t, 2*large+1, pool.Taken(), "a checker gets the data")
	in.Payloads.Release()
	require.Zero(t, pool.Taken())
	_, err = b.pool.Exec(ctx, `UPDATE riverhook.delivery SET access_at = now()`)
	require.NoError(t, err)
	in, err = loader.Load(ctx, by, id, nil)
	require.NoError(t, err)
	require.Equal(t, large, pool.Taken(), "no checker is asked")
	body, err := in.Payloads.Get(ctx, in.Dialect)
	require.NoError(t, err)
	require.Len(t, body, large)
	require.Equal(t, large, pool.Taken())
	in.Payloads.Release()
	require.Zero(t, pool.Taken())
}
