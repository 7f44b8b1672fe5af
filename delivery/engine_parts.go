package delivery

import (
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/gates"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/heartbeat"
)

// maxExpanding is how many jobs find, decide and commit at once: enough to fill a batch of each
// of these steps. With 200 and 100 a share that was alone lost a tenth and a third of its events
// a second.
const maxExpanding = 600

// newTaker makes what takes River jobs by turns of their shares.
func newTaker(e *Engine) *turns.Taker {
	return turns.NewTaker(&turns.Config{
		Batch:     batch.Config{Whole: heartbeat.ConcernsAll},
		Heart:     e.heart,
		Log:       e.log,
		Process:   e.heart.Process(),
		Queues:    queues(),
		RetryWait: retryWait,
		Runs:      &e.runs,
		Store:     e.store,
		Work:      e.work,
		Workers:   e.cfg.Limits.Workers,
	})
}

// newDecider makes what decides by a configuration.
func newDecider(cfg *Config) *decide.Decider {
	filters := decide.NewFilters(cfg.Filters)
	filters.PerOwner = cfg.Limits.FilterCostPerOwner
	return &decide.Decider{
		Access:  decide.Access{Checkers: cfg.Access.Registry, RequireActor: cfg.Access.RequireActor},
		Filters: filters,
		Messages: decide.Messages{
			Dialects:     cfg.Dialects,
			MaxBytes:     cfg.Limits.RequestBytes,
			Timeout:      cfg.Externalize.Timeout,
			Externalizer: cfg.Externalize.Registry.find,
		},
		Tries: cfg.Externalize.Tries,
	}
}

// makeExpander makes what expands intents, and what makes decisions again that wait.
func makeExpander(e *Engine) {
	cfg := batch.Config{Whole: heartbeat.ConcernsAll}
	committer := expand.NewCommitter(&expand.CommitterConfig{
		Batch:  cfg,
		DB:     e.pool,
		NewID:  e.ids.next,
		Schema: e.cfg.Schema,
	})
	intents := expand.NewIntents(&expand.IntentsConfig{
		Batch:    cfg,
		Calls:    e.calls,
		Frequent: e.frequent,
		Payloads: e.payloads,
		Store:    e.store,
		Turns:    e.turns,
	})
	e.batches = append(e.batches, committer, intents)
	steps := &expand.Steps{
		Intents:   intents,
		Finder:    e.finder,
		Decider:   e.decider,
		Committer: committer,
		Sender:    e.sender,
		Limits:    expand.Limits{ChunkSize: e.cfg.Limits.ChunkSize, ReevaluateAfter: e.cfg.Maintenance.ReevaluateAfter},
		Log:       e.log,
	}
	e.expander = &expand.Expander{
		Steps:     steps,
		At:        e.at,
		Down:      e.heart.Down,
		Retention: e.cfg.History.payloads,
	}
	e.reevaluator = &expand.Reevaluator{
		Steps:         steps,
		Subscriptions: e.subs,
		Wait:          e.clock.TroubleWait,
	}
	e.asker = &gates.Asker{
		ChunkSize: e.cfg.Limits.ChunkSize,
		Decider:   e.decider,
		Finder:    e.finder,
		NewID:     e.ids.next,
		Payloads:  e.payloads,
		Queries:   e.frequent,
		Recorder: &gates.Recorder{
			DB:       e.pool,
			Limiter:  e.limiter,
			Log:      e.log,
			Records:  e.records,
			Releaser: e.releaser,
			Resolver: e.resolver,
			Schema:   e.cfg.Schema,
		},
		Sender:    e.sender,
		Retention: e.cfg.History.payloads,
	}
}
