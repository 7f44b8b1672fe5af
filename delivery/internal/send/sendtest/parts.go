// Package sendtest makes a sender of real parts, without an engine, for the tests of package
// send and of the parts that send by it.
package sendtest

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/rates"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// Schema is where everything is.
const Schema = "riverhook"

// Parts are a sender, and what it and the parts above it are made of. The record of the
// sender is not set.
type Parts struct {
	*send.Sender

	Batch    batch.Config
	Calls    *callbacks.Calls
	Checkers *access.Registry
	Decider  *decide.Decider
	Finder   *decide.Finder
	Frequent *store.Queries // with plans that are kept
	Log      *slog.Logger
	Opener   *credentials.Opener
	Payloads *payloads.Pool
	Queries  *store.Queries
	Rates    *rates.Leases // of subscriptions; owners have none
	Resolver *resolve.Resolver
}

// New makes parts with so many slots of the process, which work in a tree (nil: the paths)
// until the test ends. They send to this machine, in each dialect that is built in, by the
// schedule "twice".
func New(t *testing.T, pool *pgxpool.Pool, inFlight int, tree hierarchy.Tree) *Parts {
	t.Helper()
	if tree == nil {
		tree = hierarchy.Paths
	}
	p := &Parts{
		Batch:    batch.Config{Whole: heartbeat.ConcernsAll},
		Calls:    callbacks.New(),
		Frequent: store.Frequent(pool, Schema),
		Log:      slog.New(slog.DiscardHandler),
		Queries:  store.In(pool, Schema),
		Resolver: resolve.New(pool, resolve.Config{Tree: tree}),
	}
	var err error
	p.Checkers, err = access.NewRegistry(nil)
	must(t, err)
	dialects, err := dialect.NewRegistry(dialect.BuiltIn()...)
	must(t, err)
	p.Decider = &decide.Decider{
		Access:  decide.Access{Checkers: p.Checkers},
		Filters: decide.NewFilters(filter.Opts{}),
		Messages: decide.Messages{
			Dialects:     dialects,
			MaxBytes:     1000,
			Timeout:      time.Minute,
			Externalizer: func(string, string, string) decide.Externalize { return nil },
		},
		Tries: 8,
	}
	p.Finder = decide.NewFinder(p.Resolver, tree, p.Batch)
	p.Opener = credentials.NewOpener(seal.Clear(), p.Queries)
	p.Payloads = payloads.New(payloads.Config{Store: p.Queries})
	p.Rates = rates.NewLeases(rates.Config{
		Batch: p.Batch,
		Now:   time.Now,
		Store: p.Frequent,
	})
	made := requester(t, p, inFlight)
	p.Sender = &send.Sender{
		At: func(string) {},
		Heart: heartbeat.New(heartbeat.Config{
			Logger: p.Log,
			Pool:   pool,
			Schema: Schema,
		}),
		Loader: send.NewLoader(&send.LoaderConfig{
			Batch:    p.Batch,
			Calls:    p.Calls,
			Payloads: p.Payloads,
			Rereader: made.Rereader,
			Store:    p.Queries,
			Turns:    turns.NewAdmission(10),
		}),
		Requester:     made,
		Slots:         limits(p, inFlight),
		Subscriptions: subscriptions(t, pool),
	}
	p.Preflight = preflight(p, dialects)
	for _, closing := range []interface{ Close() }{
		p.Finder, p.Opener, p.Payloads, p.Loader, p.Requester.Rereader, p.Requester.Clients, p.Rates, p.Slots.Releaser,
	} {
		t.Cleanup(closing.Close)
	}
	return p
}

func subscriptions(t *testing.T, pool *pgxpool.Pool) *subscription.Store {
	t.Helper()
	subs, err := subscription.NewStore(pool, &subscription.Config{
		CheckFilter: func(string) error { return nil },
		CheckURL:    func(string) error { return nil },
		Sealer:      seal.Clear(),
	})
	must(t, err)
	return subs
}

func requester(t *testing.T, p *Parts, inFlight int) *send.Requester {
	t.Helper()
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		AllowHTTP:  true,
		AnyPort:    true,
	})
	must(t, err)
	clients, err := credentials.NewClients(policy, egress.TransportConfig{}, inFlight)
	must(t, err)
	return &send.Requester{
		Answers: send.Answers{
			Bytes:        100,
			Headers:      attempt.NewHeaderRecorder(nil),
			Retention:    func(string) send.Retention { return send.Retention{Bytes: 100} },
			ThrottleWait: time.Minute,
		},
		Clients:         clients,
		Clock:           time.Now,
		MaxRequestBytes: 1000,
		Now:             time.Now,
		Payloads:        p.Payloads,
		Rereader: send.NewRereader(&send.RereaderConfig{
			Batch:        p.Batch,
			Frequent:     p.Frequent,
			MaxAccessAge: time.Hour,
		}),
		Timeout: send.Timeout{Default: 10 * time.Second, Most: time.Minute},
	}
}

func limits(p *Parts, inFlight int) send.Slots {
	process := slots.NewTurns(inFlight)
	limiter := slots.NewLimiter(slots.LimiterConfig{
		Slots:    10,
		MaxSlots: 10,
		Process:  process,
		Now:      time.Now,
		Random:   func() float64 { return 0.5 },
	})
	return send.Slots{
		FanOuts:  slots.NewFanOuts(inFlight),
		Limiter:  limiter,
		Probes:   &slots.Probes{Limiter: limiter, Store: p.Frequent},
		Process:  process,
		Releaser: slots.NewReleaser(limiter, p.Frequent, p.Batch),
		ShareOf:  func(*attempt.Target) string { return "/acme" },
	}
}

func preflight(p *Parts, dialects *dialect.Registry) *send.Preflight {
	return &send.Preflight{
		Access:   &p.Decider.Access,
		Finder:   p.Finder,
		Log:      p.Log,
		Opener:   p.Opener,
		Rates:    p.Rates,
		Rereader: p.Requester.Rereader,
		Schedules: &send.Schedules{
			Default:  "twice",
			Dialects: dialects,
			Named: func(name string) (attempt.Schedule, bool) {
				return attempt.Schedule{Delays: []time.Duration{time.Second}}, name == "twice"
			},
			Random: func() float64 { return 0.5 },
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
