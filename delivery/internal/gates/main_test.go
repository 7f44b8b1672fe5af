package gates_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/gates"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const schema = "riverhook"

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
	usual := batch.Config{Whole: heartbeat.ConcernsAll}
	queries, frequent := store.In(b.pool, schema), store.Frequent(b.pool, schema)
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	require.NoError(t, checkers.RegisterDefault(b))
	dialects, err := dialect.NewRegistry(dialect.Plain())
	require.NoError(t, err)
	b.subs, err = subscription.NewStore(b.pool, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	resolver := resolve.New(b.pool, resolve.Config{})
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	require.NoError(t, err)
	clients, err := credentials.NewClients(policy, egress.TransportConfig{}, 10)
	require.NoError(t, err)
	shared, opener := payloads.New(queries), credentials.NewOpener(seal.Clear(), queries)
	finder := decide.NewFinder(resolver, hierarchy.Paths, usual)
	limiter := slots.NewLimiter(slots.LimiterConfig{
		Slots:    10,
		MaxSlots: 10,
		Now:      time.Now,
		Random:   func() float64 { return 0.5 },
	})
	releaser := slots.NewReleaser(limiter, frequent, usual)
	loader := send.NewLoader(&send.LoaderConfig{
		Batch:        usual,
		Calls:        callbacks.New(),
		Frequent:     frequent,
		MaxAccessAge: time.Hour,
		Payloads:     shared,
		Store:        queries,
	})
	log := slog.New(slog.DiscardHandler)
	records := record.NewRecorder(&record.Config{
		Batch:   usual,
		DB:      b.pool,
		Engine:  "test",
		Log:     log,
		NewID:   uuid.New,
		Passing: func(error) bool { return false },
		Schema:  schema,
		Timeout: time.Minute,
	})
	for _, closing := range []interface{ Close() }{clients, shared, opener, finder, releaser, loader, records} {
		t.Cleanup(closing.Close)
	}
	b.Asker = &gates.Asker{
		ChunkSize: 10,
		Decider: &decide.Decider{
			Access:  decide.Access{Checkers: checkers},
			Filters: decide.NewFilters(filter.Opts{}),
			Messages: decide.Messages{
				Dialects:     dialects,
				MaxBytes:     1000,
				Timeout:      time.Minute,
				Externalizer: func(string, string, string) decide.Externalize { return nil },
			},
		},
		Finder:  finder,
		NewID:   uuid.New,
		Queries: frequent,
		Recorder: &gates.Recorder{
			Limiter:  limiter,
			Log:      log,
			Releaser: releaser,
			Resolver: resolver,
			DB:       b.pool,
			Records:  records,
			Schema:   schema,
		},
		Sender: &send.Sender{
			Preflight: &send.Preflight{
				Loader: loader,
				Log:    log,
				Opener: opener,
				Schedules: &send.Schedules{
					Dialects: dialects,
					Named:    func(string) (attempt.Schedule, bool) { return attempt.Schedule{}, true },
				},
				TroubleWait: func(wait time.Duration) time.Duration { return wait },
			},
			Requester: &send.Requester{
				MaxTimeout: time.Minute,
				Answers: send.Answers{
					Bytes:     100,
					Retention: func(string) send.Retention { return send.Retention{Bytes: 100} },
				},
				Clients:         clients,
				Headers:         attempt.NewHeaderRecorder(nil),
				Loader:          loader,
				MaxRequestBytes: 1000,
				Clock:           time.Now,
				Now:             time.Now,
				Process:         slots.NewProcess(10),
				Timeout:         10 * time.Second,
			},
			Slots: send.Slots{
				Limiter:  limiter,
				Probes:   &slots.Probes{Limiter: limiter, Store: frequent},
				Releaser: releaser,
			},
		},
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
