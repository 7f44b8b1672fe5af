package send

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
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
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// bundle is a sender of real parts, without an engine, whose record is a list, and a
// receiver.
type bundle struct {
	*Sender

	t        *testing.T
	pool     *pgxpool.Pool
	receiver *httptest.Server

	mu       sync.Mutex
	recorded []*attempt.Transition
}

// newBundle makes a sender with so many slots of its process, and a receiver of its
// requests.
func newBundle(t *testing.T, inFlight int, receive http.HandlerFunc) *bundle {
	t.Helper()
	b := &bundle{
		t:        t,
		pool:     pgtest.Pool(t),
		receiver: httptest.NewServer(receive),
	}
	t.Cleanup(b.receiver.Close)
	queries, frequent := store.In(b.pool, "riverhook"), store.Frequent(b.pool, "riverhook")
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	require.NoError(t, err)
	clients, err := credentials.NewClients(policy, egress.TransportConfig{}, inFlight)
	require.NoError(t, err)
	dialects, err := dialect.NewRegistry(dialect.Plain())
	require.NoError(t, err)
	subs, err := subscription.NewStore(b.pool, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	require.NoError(t, err)
	opener, pool := credentials.NewOpener(seal.Clear(), queries), payloads.New(queries)
	loader := NewLoader(&LoaderConfig{
		Batch:        batch.Config{Whole: heartbeat.ConcernsAll},
		Calls:        callbacks.New(),
		Frequent:     frequent,
		MaxAccessAge: time.Hour,
		Payloads:     pool,
		Store:        queries,
	})
	checkers, err := access.NewRegistry(nil)
	require.NoError(t, err)
	resolver := resolve.New(b.pool, resolve.Config{Tree: hierarchy.Paths})
	finder := decide.NewFinder(resolver, hierarchy.Paths, batch.Config{})
	random := func() float64 { return 0.5 }
	limiter := slots.NewLimiter(slots.LimiterConfig{
		Slots:    8,
		MaxSlots: 8,
		Now:      time.Now,
		Random:   random,
	})
	releaser := slots.NewReleaser(limiter, frequent, batch.Config{Whole: heartbeat.ConcernsAll})
	for _, closing := range []interface{ Close() }{opener, pool, loader, finder, releaser, clients} {
		t.Cleanup(closing.Close)
	}
	b.Sender = &Sender{
		At: func(string) {},
		Heart: heartbeat.New(heartbeat.Config{
			Logger: slog.New(slog.DiscardHandler),
			Pool:   b.pool,
			Schema: "riverhook",
		}),
		Preflight: &Preflight{
			Access: &decide.Access{Checkers: checkers},
			Finder: finder,
			Loader: loader,
			Log:    slog.New(slog.DiscardHandler),
			Opener: opener,
			Schedules: &Schedules{
				Default:  "twice",
				Dialects: dialects,
				Named: func(name string) (attempt.Schedule, bool) {
					return attempt.Schedule{Delays: []time.Duration{time.Second}}, name == "twice"
				},
			},
			TroubleWait: func(wait time.Duration) time.Duration { return wait },
		},
		Random: random,
		Record: b.record,
		Requester: &Requester{
			MaxTimeout: time.Minute,
			Answers: Answers{
				Bytes:     100,
				Retention: func(string) Retention { return Retention{Bytes: 100} },
			},
			Clients:         clients,
			Headers:         attempt.NewHeaderRecorder(nil),
			Loader:          loader,
			MaxRequestBytes: 1000,
			Clock:           time.Now,
			Now:             time.Now,
			Process:         slots.NewProcess(inFlight),
			ThrottleWait:    time.Minute,
			Timeout:         10 * time.Second,
		},
		Slots: Slots{
			FanOuts:  slots.NewFanOuts(inFlight),
			Limiter:  limiter,
			Probes:   &slots.Probes{Limiter: limiter, Store: frequent},
			Releaser: releaser,
		},
		Subscriptions: subs,
	}
	return b
}

func (b *bundle) record(_ context.Context, tr *attempt.Transition) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded = append(b.recorded, tr)
	return true, nil
}

// input is a delivery to the receiver that is in no table, so it is not read again.
func (b *bundle) input() *Input {
	return &Input{Target: attempt.Target{
		ID:       uuid.New(),
		IntentID: uuid.New(),
		Dialect:  "plain",
		Message:  dialect.Message{Body: []byte("{}")},
		State:    attempt.StatePending,
		Round:    1,
		ReadAt:   time.Now().Add(time.Minute),
		Sub: attempt.Subscription{
			ID:       uuid.New(),
			URL:      b.receiver.URL,
			Operator: true,
		},
	}}
}

// attempted is what is recorded of an attempt of an input.
func (b *bundle) attempted(in *Input) *attempt.Transition {
	b.t.Helper()
	before := len(b.recorded)
	require.NoError(b.t, b.All(b.t.Context(), callbacks.JobRef{}, []*Input{in}, nil))
	require.Len(b.t, b.recorded, before+1)
	return b.recorded[before]
}
