package gates_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/gates"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/send/sendtest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/subscription"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bundle is an asker of real parts, without an engine.
type bundle struct {
	*gates.Asker

	checks func(r access.Request) error
	pool   *pgxpool.Pool
	subs   *subscription.Store
	t      *testing.T
}

// Check is that of the application.
func (b *bundle) Check(_ context.Context, r access.Request) error {
	if b.checks == nil {
		return nil
	}
	return b.checks(r)
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, pool: pgtest.Pool(t)}
	parts := sendtest.New(t, b.pool, 10, nil)
	b.subs = parts.Subscriptions
	require.NoError(t, parts.Checkers.RegisterDefault(b))
	records := record.NewRecorder(&record.Config{
		Batch:   parts.Batch,
		DB:      b.pool,
		Engine:  "test",
		Log:     parts.Log,
		NewID:   uuid.New,
		Passing: func(error) bool { return false },
		Schema:  sendtest.Schema,
		Timeout: time.Minute,
	})
	t.Cleanup(records.Close)
	b.Asker = &gates.Asker{
		ChunkSize: 10,
		Decider:   parts.Decider,
		Finder:    parts.Finder,
		NewID:     uuid.New,
		Payloads:  parts.Payloads,
		Queries:   parts.Frequent,
		Recorder: &gates.Recorder{
			DB:       b.pool,
			Limiter:  parts.Slots.Limiter,
			Log:      parts.Log,
			Records:  records,
			Releaser: parts.Slots.Releaser,
			Resolver: parts.Resolver,
			Schema:   sendtest.Schema,
		},
		Sender:    parts.Sender,
		Retention: func(_ string, registered expand.Retention) expand.Retention { return registered },
	}
	return b
}

// gate makes a gate of ada.
func (b *bundle) gate(answer http.HandlerFunc, change func(s *subscription.Spec)) subscription.Subscription {
	b.t.Helper()
	server := httptest.NewServer(answer)
	b.t.Cleanup(server.Close)
	spec := subscription.Spec{
		URL:     server.URL,
		Events:  []string{"before:**"},
		Owner:   "ada",
		Dialect: "plain",
	}
	if change != nil {
		change(&spec)
	}
	sub, err := b.subs.Create(b.t.Context(), spec)
	require.NoError(b.t, err)
	return sub.Subscription
}

// question is one whether a user may be deleted.
func question() dialect.Event {
	return dialect.Event{
		ID:           uuid.NewString(),
		Type:         "before:user.delete",
		Site:         "/",
		ResourceKind: "user",
		ResourceID:   "7",
		Data:         []byte(`{"id":7}`),
		OccurredAt:   time.Now().UTC().Truncate(time.Microsecond),
	}
}

func (b *bundle) count(sql string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&n))
	return n
}
