package maintain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	// PruneInterval is the time between two rounds of a started engine.
	PruneInterval = time.Minute

	// pruneStep bounds the rows of one transaction.
	pruneStep = 500

	// countStep is how many deliveries are counted in one step, and pruneSubscriptions of
	// how many subscriptions.
	countStep          = 5000
	pruneSubscriptions = 100

	// pruneBudget is how long a round prunes each kind of row, so that a backlog is
	// worked off without a noticeable load.
	pruneBudget = time.Second

	// openFor is how long a transaction can have been open that knows of what is
	// pruned, such as a subscription that was deleted, a path that ended or a resource
	// that was erased.
	openFor = 24 * time.Hour

	// hostMemory is how long it is known when a host was asked last; no interval
	// between two questions is as long.
	hostMemory = time.Hour

	// rateMemory is how long the row of a rate is kept that is not used: to make it anew
	// costs a statement.
	rateMemory = time.Hour

	// What has an id from a clock that ran ahead is not counted: by aheadBy when it is
	// counted, by skew when it was made.
	aheadBy = time.Second
	skew    = time.Minute
)

// Pruned counts what was removed. Its fields are those of delivery.Pruned.
type Pruned struct {
	Deliveries    int
	Decisions     int
	Payloads      int
	Intents       int
	Reduced       int
	Subscriptions int
	Aliases       int
}

// Retention is what is kept.
type Retention struct {
	Dedupe          time.Duration // how long the id of an intent is known at least
	MaxAge          time.Duration // of history
	PerSubscription int           // ended deliveries
}

// Pruner removes what is not kept any more. It remembers its positions between two
// rounds, because a round is cut short if there is much to look at. It is not safe for
// concurrent use.
type Pruner struct {
	DB        *pgxpool.Pool
	Lease     *Lease // of Round
	Log       *slog.Logger
	Retention Retention
	Schema    string

	aliasesAfter      int64
	aliasesPath       string // of aliasesAfter
	decisionsAfter    place
	deliveriesAfter   uuid.UUID
	erasuresAfter     []byte // the resource
	healthAfter       uuid.UUID
	healthEpoch       int // of healthAfter
	hostsAfter        string
	ratesAfter        string // the last rate that was looked at
	intentsAfter      uuid.UUID
	payloadsAfter     uuid.UUID // the last intent whose payloads were looked at
	payloadsUntil     time.Time // when these were due
	subscriptionAfter uuid.UUID
	subscriptionUntil time.Time // when subscriptionAfter was deleted
	surplusAfter      surplusPlace
	pruned            Pruned
}

// errPruneBusy means that another process prunes.
var errPruneBusy = errors.New("another process prunes")

// Round prunes for a bounded time if this engine has the lease of maintenance.
func (p *Pruner) Round(ctx context.Context) error {
	leased, err := p.Lease.Hold(ctx)
	if err != nil || !leased {
		return err
	}
	p.pruned = Pruned{}
	if err := p.prune(ctx, pruneBudget); err != nil {
		return err
	}
	if p.pruned != (Pruned{}) {
		p.Log.InfoContext(ctx, "riverhook: pruned", "deliveries", p.pruned.Deliveries, "decisions", p.pruned.Decisions,
			"payloads", p.pruned.Payloads, "intents", p.pruned.Intents, "reduced", p.pruned.Reduced,
			"subscriptions", p.pruned.Subscriptions, "aliases", p.pruned.Aliases)
	}
	return nil
}

// All prunes until nothing is left to prune, or until another process prunes.
func (p *Pruner) All(ctx context.Context) (Pruned, error) {
	p.pruned = Pruned{}
	err := p.prune(ctx, 0)
	return p.pruned, err
}

// prune takes the steps of each kind until nothing is left, or for the time of
// budget; 0 is no bound. Rows that refer to others are removed before these.
func (p *Pruner) prune(ctx context.Context, budget time.Duration) error {
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
		{"rates", p.rates},
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

// step takes one step in a transaction, if no other process prunes.
func (p *Pruner) step(ctx context.Context, step func(ctx context.Context, q *store.Queries) (bool, error)) (more bool, err error) {
	err = store.InFrequentTx(ctx, p.DB, p.Schema, func(q *store.Queries) error {
		locked, err := q.TryPruneLock(ctx, p.Schema)
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

func (p *Pruner) maxAgeMs() int64 { return p.Retention.MaxAge.Milliseconds() }
