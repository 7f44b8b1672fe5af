package delivery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/drain"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/gates"
	"github.com/riverhook/riverhook/delivery/internal/maintain"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/ping"
	"github.com/riverhook/riverhook/delivery/internal/rates"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// ErrNotStarted is the error of an engine that was not started, was stopped, or
// was started before.
var ErrNotStarted = errors.New("delivery: the engine does not run")

// Engine turns committed intents into delivered webhooks. It owns a River client
// in Riverhook's schema; an application's own River is not touched. Several
// engines, in one process or many, share the work of one database.
//
// An Engine is safe for concurrent use. Its hooks, checkers, externalizers and
// dialects are called from several goroutines at once.
type Engine struct {
	Handle

	asker       *gates.Asker
	calls       *callbacks.Calls
	cfg         *Config
	clients     *credentials.Clients
	clock       drain.Clock
	causes      *maintain.CauseProber
	deactivator *maintain.Deactivator
	decider     *decide.Decider
	expander    *expand.Expander
	finder      *decide.Finder
	fault       func(point string)
	heart       *heartbeat.Heart
	hooks       *callbacks.Hooks
	ids         ids
	loader      *send.Loader
	rereader    *send.Rereader
	requester   *send.Requester
	reevaluator *expand.Reevaluator
	sender      *send.Sender
	fanOuts     *slots.FanOuts
	random      func() float64

	inFlight *slots.Turns
	shareOf  func(t *attempt.Target) string
	limiter  *slots.Limiter
	probes   *slots.Probes
	rates    *rates.Leases
	releaser *slots.Releaser
	records  *record.Recorder

	schedules schedules
	frequent  *store.Queries // with plans that are kept
	runs      heartbeat.Runs
	taker     *turns.Taker // of River jobs, beside River's workers
	turns     *turns.Admission

	opener   *credentials.Opener
	payloads *payloads.Pool

	batches []interface{ Close() } // all of them, and what has others

	turn    chan struct{} // of what makes a heartbeat, or ends that of RunDue
	ended   atomic.Bool   // Stop has closed what requests need
	loops   sync.WaitGroup
	stopErr error // when stopped is closed

	mu       sync.Mutex                     // guards what follows; held for moments only
	dueRuns  int                            // of RunDue, under way without a started engine
	endStart func(by context.Context) error // of a Start that is under way
	life     context.Context                //nolint:containedctx // from Start to the end of Stop
	river    *river.Client[pgx.Tx]
	started  bool
	stop     context.CancelFunc // of life
	stopped  chan struct{}      // closed when Stop is done; nil before Stop

	closeRiverPool func()
	reindexes      river.PeriodicSchedule // of River's indexes; nil is River's own, every night
}

// New makes an engine; Start sets it to work. The pool should allow ten
// connections or more: River holds one for LISTEN, unless PollOnly. A bad field of cfg is an
// error that names it; a Sealer is required.
func New(pool *pgxpool.Pool, cfg *Config) (*Engine, error) {
	if pool == nil {
		return nil, errors.New("delivery: new: the pool is nil")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		calls:    callbacks.New(),
		cfg:      cfg,
		decider:  newDecider(cfg),
		random:   rand.Float64,
		frequent: store.Frequent(pool, cfg.Schema),
		inFlight: slots.NewTurns(cfg.Limits.InFlight),
		shareOf:  sharesBy(cfg.Limits.ShareOf, cfg.Logger),
		fanOuts:  slots.NewFanOuts(cfg.Limits.InFlight),
		turn:     make(chan struct{}, 1),
		turns:    turns.NewAdmission(maxExpanding),
	}
	e.hooks = callbacks.NewHooks(cfg.Timeouts.Hook, cfg.Logger)
	e.heart = heartbeat.New(heartbeat.Config{
		ID:       cfg.ID,
		Logger:   cfg.Logger,
		Pool:     pool,
		Schema:   cfg.Schema,
		Subject:  "riverhook",
		UnderWay: e.runs.Jobs,
	})
	e.ids.now = e.heart.Now
	e.limiter = slots.NewLimiter(slots.LimiterConfig{
		Slots:    cfg.Limits.InFlightPerEndpoint,
		MaxSlots: cfg.Limits.MaxInFlightPerEndpoint,
		Process:  e.inFlight,
		Now:      e.clock.Now,
		Random:   e.random,
	})
	e.probes = &slots.Probes{Limiter: e.limiter, Store: e.frequent}
	if e.schedules, err = mergeSchedules(cfg.Schedules); err != nil {
		return nil, fmt.Errorf("delivery: config: %w", err)
	}
	bySubscription := &send.Schedules{
		Default:  ScheduleStandard,
		Dialects: cfg.Dialects,
		Named: func(name string) (attempt.Schedule, bool) {
			s, ok := e.schedules.named(name)
			return attempt.Schedule(s), ok
		},
		Random: e.random,
	}
	for _, name := range cfg.Dialects.Names() {
		if s := bySubscription.OfDialect(name); s != "" {
			if _, ok := e.schedules.named(s); !ok {
				return nil, fmt.Errorf("delivery: config: Dialects: %q brings the schedule %q, which is not known; add it to Schedules", name, s)
			}
		}
	}
	if e.clients, err = credentials.NewClients(cfg.Egress, cfg.Transport, cfg.Limits.InFlight); err != nil {
		return nil, fmt.Errorf("delivery: config: Transport: %w", err)
	}
	resolver, err := newResolver(pool, &hierarchy.ResolverConfig{
		ActiveChain: cfg.ActiveChain,
		Schema:      cfg.Schema,
		Tree:        cfg.Tree,
	})
	if err != nil {
		return nil, fmt.Errorf("delivery: config: %w", err)
	}
	e.Handle = Handle{
		View:       newView(pool, cfg.Schema, resolver),
		engine:     cfg.ID,
		learnClock: e.learnClock,
		log:        cfg.Logger,
	}
	if err := makeSubscriptions(e); err != nil {
		return nil, err
	}
	makeBatches(e)
	makeSender(e, bySubscription)
	e.pinger = &ping.Pinger{
		Dialects:  cfg.Dialects,
		NewID:     e.ids.next,
		Opener:    e.opener,
		Process:   e.inFlight,
		Requester: e.requester,
		Running: func() error {
			if e.ended.Load() {
				return ErrNotStarted
			}
			return nil
		},
		ShareOf:       e.shareOf,
		Store:         e.store,
		Subscriptions: e.subs,
	}
	makeExpander(e)
	e.taker = newTaker(e)
	e.batches = append(e.batches, e.taker)
	e.causes = newCauseProber(e)
	e.verifier = newVerifier(e)
	return e, nil
}

func makeSubscriptions(e *Engine) (err error) {
	names := slices.Sorted(maps.Keys(e.schedules))
	e.subs, err = subscription.NewStore(e.pool, &subscription.Config{
		CheckFilter:         e.decider.Filters.Check,
		CheckSecret:         e.cfg.Dialects.CheckSecret,
		CheckURL:            checkURL(e.cfg.Egress),
		Dialects:            e.cfg.Dialects.Names(),
		Schedules:           names,
		Schema:              e.cfg.Schema,
		KnowsSchedule:       func(name string) bool { _, ok := e.schedules.named(name); return ok },
		Sealer:              e.cfg.Sealer,
		MaxInFlight:         e.cfg.Limits.MaxInFlightPerEndpoint,
		MaxRate:             e.cfg.Limits.MaxRate,
		MaxPerOwner:         e.cfg.Limits.SubscriptionsPerOwner,
		MaxPerSite:          e.cfg.Limits.SubscriptionsPerSite,
		MaxTimeout:          e.cfg.Timeouts.MaxRequest,
		RequireVerification: e.cfg.Verification.Require,
		Verifications:       e.cfg.Verification.methods(),
		Tree:                e.cfg.Tree,
		Permissions:         e.cfg.Access.Permissions,
	})
	if err != nil {
		return fmt.Errorf("delivery: config: %w", err)
	}
	return nil
}

func makeBatches(e *Engine) {
	usual := batch.Config{Whole: heartbeat.ConcernsAll}
	e.records = record.NewRecorder(&record.Config{
		Batch:   usual,
		DB:      e.pool,
		Engine:  e.cfg.ID,
		Hooks:   recordHooks(e.cfg.Hooks, e.hooks),
		Log:     e.log,
		NewID:   e.ids.next,
		Passing: e.heart.Passing,
		Schema:  e.cfg.Schema,
		Timeout: e.cfg.Timeouts.Record,
	})
	e.releaser = slots.NewReleaser(e.limiter, e.frequent, usual)
	e.rates = rates.NewLeases(rates.Config{
		Batch:   usual,
		Most:    attemptRate(e.cfg.Limits.MaxRate),
		Now:     e.clock.Now,
		OfOwner: ratesBy(e.cfg.Limits.RateOf, e.log),
		Store:   e.frequent,
	})
	e.batches = append(e.batches, e.records, e.releaser, e.rates)
	e.deactivator = newDeactivator(e)
	e.opener = credentials.NewOpener(e.cfg.Sealer, e.store)
	e.payloads = payloads.New(payloads.Config{Bytes: e.cfg.Limits.BytesInFlight, Store: e.store})
	e.finder = decide.NewFinder(e.resolver, e.cfg.Tree, usual)
	e.rereader = send.NewRereader(&send.RereaderConfig{
		Batch:        usual,
		Frequent:     e.frequent,
		MaxAccessAge: e.cfg.Access.MaxAge,
	})
	e.loader = send.NewLoader(&send.LoaderConfig{
		Batch:    usual,
		Calls:    e.calls,
		Payloads: e.payloads,
		Rereader: e.rereader,
		Store:    e.store,
		Turns:    e.turns,
	})
	e.batches = append(e.batches, e.opener, e.payloads, e.finder, e.loader, e.rereader)
}

// makeSender makes what sends; the schedules are those of deliveries.
func makeSender(e *Engine, schedules *send.Schedules) {
	e.requester = &send.Requester{
		Answers: send.Answers{
			Bytes:        e.cfg.Limits.ResponseBytes,
			Headers:      attempt.NewHeaderRecorder(e.cfg.History.RedactHeaders),
			Retention:    e.cfg.retention,
			Hook:         e.cfg.Hooks.DeliveryDelivered != nil,
			ThrottleWait: e.cfg.ThrottleWait,
		},
		Clients:         e.clients,
		Clock:           e.heart.Now,
		MaxRequestBytes: e.cfg.Limits.RequestBytes,
		Now:             e.clock.Now,
		Origin:          e.cfg.Verification.Origin,
		Payloads:        e.payloads,
		Rereader:        e.rereader,
		Timeout:         send.Timeout{Default: e.cfg.Timeouts.Request, Most: e.cfg.Timeouts.MaxRequest},
	}
	e.sender = &send.Sender{
		At:     e.at,
		Heart:  e.heart,
		Loader: e.loader,
		Preflight: &send.Preflight{
			Access:    &e.decider.Access,
			Finder:    e.finder,
			Log:       e.log,
			Opener:    e.opener,
			Rates:     e.rates,
			Rereader:  e.rereader,
			Schedules: schedules,
		},
		Record:    e.records.Record,
		Requester: e.requester,
		Slots: send.Slots{
			FanOuts:  e.fanOuts,
			Limiter:  e.limiter,
			Process:  e.inFlight,
			Probes:   e.probes,
			Releaser: e.releaser,
			ShareOf:  e.shareOf,
		},
		Subscriptions: e.subs,
	}
}

// Subscriptions is a store of subscriptions that refuses what this engine could
// not deliver: URLs outside its egress policy, unknown dialects and schedules,
// filters that do not compile.
func (e *Engine) Subscriptions() *subscription.Store { return e.subs }

func newDeactivator(e *Engine) *maintain.Deactivator {
	return &maintain.Deactivator{
		DB: e.pool,
		Hooks: maintain.DeactivatorHooks{
			Deactivated: subscriptionHook("SubscriptionDeactivated", e.cfg.Hooks.SubscriptionDeactivated, e.hooks),
			Failing:     subscriptionHook("SubscriptionFailing", e.cfg.Hooks.SubscriptionFailing, e.hooks),
		},
		Log:    e.log,
		NewID:  e.ids.next,
		Rules:  e.cfg.Deactivation,
		Schema: e.cfg.Schema,
	}
}

// newMaintainer makes what does about once a second in a started engine what no job does;
// without a lease it does everything. What has been due for lost without a living job has lost
// it.
func newMaintainer(e *Engine, lost time.Duration, pace maintain.Pace) *maintain.Maintainer {
	return &maintain.Maintainer{
		CauseProber:   e.causes,
		CauseReviewer: &maintain.CauseReviewer{Pace: pace, Store: e.frequent},
		Deactivator:   e.deactivator,
		Decisions: &maintain.DecisionExpirer{
			MaxHold: e.cfg.Maintenance.MaxHold,
			Pace:    pace,
			Store:   e.frequent,
		},
		Expirer: &maintain.HeldExpirer{
			MaxHold: e.cfg.Maintenance.MaxHold,
			Pace:    pace,
			Store:   e.frequent,
		},
		Forget: func() {
			e.opener.ForgetUnused(e.clock.Now())
			e.clients.CloseUnused(e.clock.Now())
			e.limiter.DropUnused(time.Now()) // by the clock of their use
			e.fanOuts.DropUnused(time.Now())
		},
		Log: e.log,
		Reconciler: &maintain.Reconciler{
			Lost:  lost,
			Pace:  pace,
			Store: e.frequent,
		},
		Releaser: &maintain.HeldReleaser{
			Frequent: e.frequent,
			Pace:     pace,
			Rates: &rates.Releaser{
				Capacity: e.limiter.Capacity,
				Ahead:    rates.Ahead(e.cfg.Maintenance.Interval),
				Leases:   e.rates,
				Store:    e.frequent,
			},
			ShareOf: e.shareOf,
			Slots:   e.releaser,
			Store:   e.store,
		},
	}
}
