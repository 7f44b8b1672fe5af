package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/txn"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// Config of an [Applier].
type Config struct {
	// Schema is the Postgres schema, that of Subscriptions. Default: "riverhook".
	Schema string

	// Subscriptions is the store that creates and changes subscriptions, by its
	// own rules: that of an engine, or one of subscription.NewStore. One that is
	// confined to a site (RootSite) confines subscriptions alone: sites and event types
	// of a file are everybody's, and so are the names of manifests. Required.
	Subscriptions *subscription.Store
}

// Applier brings a database to what manifests say. It is safe for concurrent use.
type Applier struct {
	schema string
	scope  txn.Scope
	sites  *hierarchy.Sites
	subs   *subscription.Store
	types  *outbox.EventTypes
}

// New returns an Applier. cfg must have Subscriptions.
func New(pool *pgxpool.Pool, cfg *Config) (*Applier, error) {
	if cfg == nil || cfg.Subscriptions == nil {
		return nil, errors.New("manifest: Config.Subscriptions: is required; an engine has one")
	}
	if pool == nil {
		return nil, errors.New("manifest: a pool is required")
	}
	schema := cmp.Or(cfg.Schema, store.DefaultSchema)
	sites, err := hierarchy.NewSites(pool, &hierarchy.SitesConfig{Schema: schema})
	if err != nil {
		return nil, fmt.Errorf("manifest: Config: %w", err)
	}
	types, err := outbox.NewEventTypes(pool, &outbox.EventTypesConfig{Schema: schema})
	if err != nil {
		return nil, fmt.Errorf("manifest: Config: %w", err)
	}
	return &Applier{
		schema: schema,
		scope:  txn.Of(pool),
		sites:  sites,
		subs:   cfg.Subscriptions,
		types:  types,
	}, nil
}

// In returns the same Applier in a transaction of the caller's, until that ends. It must be of
// READ COMMITTED ([hierarchy.ErrIsolation]). After an [Errors] the transaction is usable, and
// nothing of the call remains. Locks on sites and event types are held until its end.
func (a *Applier) In(tx pgx.Tx) *Applier {
	in := *a
	in.scope = a.scope.In(tx)
	return &in
}

// InSQL is In for a transaction of database/sql, or of a library built on it.
func (a *Applier) InSQL(tx hierarchy.Querier) *Applier {
	in := *a
	in.scope = a.scope.InSQL(tx)
	return &in
}

// errPlanned rolls a plan back.
var errPlanned = errors.New("planned")

// Plan returns what Apply would do now. It does that, in a transaction that is
// rolled back, and so refuses what Apply would refuse, needs the same rights, and
// keeps others waiting for as long.
func (a *Applier) Plan(ctx context.Context, m *Manifest) (*Plan, error) {
	var plan *Plan
	err := a.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		if plan, err = a.apply(ctx, tx, m); err != nil {
			return err
		}
		return errPlanned
	})
	if !errors.Is(err, errPlanned) {
		return nil, failed("plan", m, err)
	}
	for i := range plan.Changes {
		if plan.Changes[i].Action == ActionAdded {
			plan.Changes[i].ID = uuid.Nil
		}
	}
	return plan, nil
}

// Apply does what a manifest says, all or nothing, and returns what that was. Those
// who apply a manifest of the same name wait for one another; whoever comes second
// finds everything unchanged. What a store refuses is an [Errors] with lines and
// columns, all of it at once as far as possible.
func (a *Applier) Apply(ctx context.Context, m *Manifest) (*Plan, error) {
	var plan *Plan
	err := a.inTx(ctx, func(tx pgx.Tx) error {
		var err error
		plan, err = a.apply(ctx, tx, m)
		return err
	})
	if err != nil {
		return nil, failed("apply", m, err)
	}
	return plan, nil
}

// inTx runs fn in a transaction of its own, or in a savepoint of the caller's.
func (a *Applier) inTx(ctx context.Context, fn func(pgx.Tx) error) error {
	_, err := txn.Run(ctx, a.scope, func(tx pgx.Tx) (struct{}, error) {
		if !a.scope.IsTx() {
			return struct{}{}, fn(tx)
		}
		isolation, err := store.In(tx, a.schema).Isolation(ctx)
		switch {
		case err != nil:
			return struct{}{}, err
		case isolation != string(pgx.ReadCommitted):
			return struct{}{}, hierarchy.ErrIsolation
		}
		return struct{}{}, pgx.BeginFunc(ctx, tx, fn)
	})
	return err
}

// failed adds what was done. Errors stay as they are: a line each, for people.
func failed(action string, m *Manifest, err error) error {
	if errors.Is(err, ErrInvalid) {
		return err
	}
	return fmt.Errorf("manifest: %s %q: %w", action, m.name, migration.Explain(err))
}
