package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	pruneInterval = time.Minute

	// pruneStep bounds the rows of one transaction.
	pruneStep = 500

	// pruneSubscriptions is how many subscriptions are counted in one step. Each
	// costs a walk along as many deliveries as are kept.
	pruneSubscriptions = 50

	// pruneBudget is how long an engine prunes each kind of row in one go, so
	// that what has piled up is worked off without being felt.
	pruneBudget = time.Second
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
// transactions, payloads that are not to be kept included. It never removes what is pending, nor a delivery or decision
// whose intent is still being expanded. A started engine prunes about once a
// minute, one engine for all; Prune is for programs that run now and then, and
// goes on until nothing is left to prune. What another process prunes at the same
// time is left to it.
func (e *Engine) Prune(ctx context.Context) (*Pruned, error) {
	p := &pruner{engine: e}
	if err := p.prune(ctx, 0); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	return &p.pruned, nil
}

// pruner remembers where it stands between two goes, since a go is cut short
// where there is much to look at.
type pruner struct {
	engine       *Engine
	reduceAfter  uuid.UUID
	reducedUntil time.Time // when that of reduceAfter was due
	surplusAfter uuid.UUID
	intentsAfter uuid.UUID
	pruned       Pruned

	forgetAfter    uuid.UUID
	forgottenUntil time.Time // when the subscription forgetAfter was deleted
}

// errPruneBusy means that another process prunes.
var errPruneBusy = errors.New("another process prunes")

// run is one go of a started engine. The engine that has run for longest prunes
// for all.
func (p *pruner) run(ctx context.Context) error {
	first, err := p.engine.store.IsFirstEngine(ctx, p.engine.heart.Process())
	if err != nil || !first {
		return err
	}
	p.pruned = Pruned{}
	if err := p.prune(ctx, pruneBudget); err != nil {
		return err
	}
	if p.pruned != (Pruned{}) {
		p.engine.log.InfoContext(ctx, "riverhook: pruned", "deliveries", p.pruned.Deliveries, "decisions", p.pruned.Decisions,
			"payloads", p.pruned.Payloads, "intents", p.pruned.Intents, "reduced", p.pruned.Reduced,
			"subscriptions", p.pruned.Subscriptions, "aliases", p.pruned.Aliases)
	}
	return nil
}

// prune takes the steps of each kind until nothing is left, or for the time of
// budget; 0 is no bound. What refers goes before what is referred to.
func (p *pruner) prune(ctx context.Context, budget time.Duration) error {
	for _, kind := range []struct {
		name string
		step func(ctx context.Context, q *store.Queries) (more bool, err error)
	}{
		{"payloads", p.payloads},
		{"surplus deliveries", p.surplus},
		{"old deliveries", p.oldDeliveries},
		{"decisions", p.decisions},
		{"intents", p.intents},
		{"health", p.health},
		{"challenged hosts", p.challengedHosts},
		{"erasures", p.erasures},
		{"subscriptions", p.subscriptions},
		{"aliases", p.aliases},
	} {
		started := time.Now()
		for more := true; more && (budget == 0 || time.Since(started) < budget); {
			var err error
			if more, err = p.step(ctx, kind.step); err != nil {
				if errors.Is(err, errPruneBusy) {
					return nil
				}
				return fmt.Errorf("prune %s: %w", kind.name, err)
			}
		}
	}
	return nil
}

func (p *pruner) step(ctx context.Context, step func(ctx context.Context, q *store.Queries) (bool, error)) (more bool, err error) {
	schema := p.engine.cfg.Schema
	err = pgx.BeginTxFunc(ctx, p.engine.pool, store.BoundedTx(), func(tx pgx.Tx) error {
		q := store.In(tx, schema)
		locked, err := q.TryPruneLock(ctx, schema)
		if err == nil && !locked {
			err = errPruneBusy
		}
		if err != nil {
			return err
		}
		more, err = step(ctx, q)
		return err
	})
	return more, err
}

// payloads reduces what is not to be kept of intents that have ended.
func (p *pruner) payloads(ctx context.Context, q *store.Queries) (bool, error) {
	seen, err := q.LockPayloads(ctx, &store.LockPayloadsParams{
		AfterAt: p.reducedUntil,
		After:   p.reduceAfter,
		MaxRows: pruneStep,
	})
	if err != nil {
		return false, err
	}
	var free []uuid.UUID
	for _, row := range seen {
		p.reduceAfter, p.reducedUntil = row.IntentID, *row.KeepAt
		if row.Free {
			free = append(free, row.IntentID)
		}
	}
	if len(free) > 0 {
		reduced, err := q.ReducePayloads(ctx, store.UUIDs(free))
		if err != nil {
			return false, err
		}
		p.pruned.Reduced += reduced
	}
	if len(seen) < pruneStep {
		p.reduceAfter, p.reducedUntil = uuid.Nil, time.Time{}
		return false, nil
	}
	return true, nil
}

func (p *pruner) surplus(ctx context.Context, q *store.Queries) (bool, error) {
	row, err := q.LockSurplus(ctx, &store.LockSurplusParams{
		After:         p.surplusAfter,
		Subscriptions: pruneSubscriptions,
		Keep:          int64(p.engine.cfg.History.PerSubscription),
		MaxRows:       pruneStep,
	})
	if err != nil {
		return false, err
	}
	n, err := p.deliveries(ctx, q, row.Ids)
	switch {
	case err != nil:
		return false, err
	case n == pruneStep: // the same subscriptions may have more
		return true, nil
	case row.Seen < pruneSubscriptions:
		p.surplusAfter = uuid.Nil
		return false, nil
	default:
		p.surplusAfter = row.Last
		return true, nil
	}
}

func (p *pruner) oldDeliveries(ctx context.Context, q *store.Queries) (bool, error) {
	ids, err := q.LockOldDeliveries(ctx, &store.LockOldDeliveriesParams{MaxAgeMs: p.maxAge(), MaxRows: pruneStep})
	if err != nil {
		return false, err
	}
	n, err := p.deliveries(ctx, q, ids)
	return n == pruneStep, err
}

// deliveries deletes deliveries that are locked.
func (p *pruner) deliveries(ctx context.Context, q *store.Queries, ids []uuid.UUID) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	n, err := q.DeleteDeliveries(ctx, store.UUIDs(ids))
	p.pruned.Deliveries += int(n)
	return int(n), err
}

func (p *pruner) decisions(ctx context.Context, q *store.Queries) (bool, error) {
	n, err := q.PruneDecisions(ctx, &store.PruneDecisionsParams{MaxAgeMs: p.maxAge(), MaxRows: pruneStep})
	p.pruned.Decisions += n
	return n == pruneStep, err
}

func (p *pruner) intents(ctx context.Context, q *store.Queries) (bool, error) {
	dedupe := p.engine.cfg.History.DedupeWindow.Milliseconds()
	row, err := q.LockOldIntents(ctx, &store.LockOldIntentsParams{
		After:    p.intentsAfter,
		MaxAgeMs: p.maxAge(),
		DedupeMs: dedupe,
		MaxRows:  pruneStep,
	})
	if err != nil {
		return false, err
	}
	if len(row.Ids) > 0 {
		done, err := q.PruneIntents(ctx, &store.PruneIntentsParams{Ids: store.UUIDs(row.Ids), DedupeMs: dedupe})
		if err != nil {
			return false, err
		}
		p.pruned.Payloads += done.Emptied
		p.pruned.Intents += done.Forgotten
	}
	if row.Seen < pruneStep {
		p.intentsAfter = uuid.Nil
		return false, nil
	}
	p.intentsAfter = row.Last
	return true, nil
}

func (p *pruner) health(ctx context.Context, q *store.Queries) (bool, error) {
	n, err := q.PruneHealth(ctx, pruneStep)
	return n == pruneStep, err
}

func (p *pruner) maxAge() int64 { return p.engine.cfg.History.MaxAge.Milliseconds() }

// challengedHosts forgets when hosts were asked that may be asked again long since.
func (p *pruner) challengedHosts(ctx context.Context, q *store.Queries) (bool, error) {
	n, err := q.PruneChallengedHosts(ctx, pruneStep)
	return n == pruneStep, err
}

// erasures forgets which resources were erased long ago.
func (p *pruner) erasures(ctx context.Context, q *store.Queries) (bool, error) {
	n, err := q.PruneErasures(ctx, pruneStep)
	return n == pruneStep, err
}
