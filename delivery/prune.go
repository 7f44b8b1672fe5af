package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/maintain"
)

// Pruned is what Prune has removed.
type Pruned struct {
	Deliveries int `json:"deliveries"` // with their attempts
	Decisions  int `json:"decisions"`  // intents that did not become a delivery
	Payloads   int `json:"payloads"`   // data, attributes and messages of intents whose ids are kept
	Intents    int `json:"intents"`    // intents that are forgotten, their ids included
	Reduced    int `json:"reduced"`    // intents whose payloads were hashed or dropped, as Config.History says

	Subscriptions int `json:"subscriptions"` // deleted ones that are forgotten
	Aliases       int `json:"aliases"`       // former paths of sites that ended and are forgotten
}

// Prune removes what Config.History does not keep, oldest first, in small
// transactions, payloads that are not to be kept included. It never removes what is
// pending, nor a delivery or decision whose intent is still being expanded. A started
// engine prunes about once a minute, one engine for all; Prune is for programs that run
// now and then, and continues until nothing is left to prune. What another process prunes
// at the same time is left to it.
func (e *Engine) Prune(ctx context.Context) (*Pruned, error) {
	pruned, err := newPruner(e.pool, e.cfg, nil).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	return new(Pruned(pruned)), nil
}

// newPruner makes a pruner. Rounds need a lease.
func newPruner(pool *pgxpool.Pool, cfg *Config, lease *maintain.Lease) *maintain.Pruner {
	return &maintain.Pruner{
		DB:    pool,
		Lease: lease,
		Log:   cfg.Logger,
		Retention: maintain.Retention{
			Dedupe:          cfg.History.DedupeWindow,
			MaxAge:          cfg.History.MaxAge,
			PerSubscription: cfg.History.PerSubscription,
		},
		Schema: cfg.Schema,
	}
}
