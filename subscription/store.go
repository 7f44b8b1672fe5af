package subscription

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
	"github.com/riverhook/riverhook/internal/txn"
	"github.com/riverhook/riverhook/seal"
)

const (
	minTimeout        = time.Second
	defaultMaxTimeout = time.Minute

	defaultMaxInFlight = 128
	mostInFlight       = 1000 // that MaxInFlight may be
)

// Config is what a store of subscriptions may hold.
type Config struct {
	// CheckFilter says why a filter is refused, without a value of any event:
	// filter.Check, or the engine's own. It is called before a connection is
	// taken. Default: filters are refused.
	CheckFilter func(expr string) error

	// CheckSecret says why requests of a dialect cannot be signed with a secret, without
	// showing it: dialect.Registry.CheckSecret. It must be pure. Default: for each dialect
	// the forms of Standard Webhooks will do, and a text will not.
	CheckSecret func(dialect string, secret Secret) error

	// CheckURL says why a URL is refused, without showing a credential in it:
	// egress.Policy.CheckURL. It is called before a connection is taken.
	// Required.
	CheckURL func(rawURL string) error

	// Dialects are the names that a subscription may name. Default: any.
	Dialects []string

	// KnowsSchedule says whether the name of a retry schedule that is not among Schedules
	// may be named as well. Default: it may not.
	KnowsSchedule func(name string) bool

	// MaxInFlight is the most requests under way at the same time that a subscription
	// may ask for, 1 to 1000. Default: 128.
	MaxInFlight int

	// MaxPerOwner is how many subscriptions an owner may have that are not
	// deleted, in whatever state. Those of the operator are not counted. Beyond it
	// is an [ErrLimit]. Default: 100. -1 is no limit.
	MaxPerOwner int

	// MaxPerSite is how many subscriptions that are not deleted, of whomever and
	// in whatever state, there may be at one site, not counting those below it:
	// all of them can hear of one event. Beyond it is an [ErrLimit]. Sites that
	// move take their subscriptions along. Default: 1000. -1 is no limit.
	MaxPerSite int

	// MaxRate is the most that a subscription may ask for of [Spec].Rate, and what one has
	// that asks for nothing. Default: no limit.
	MaxRate Rate

	// MaxTimeout is the longest timeout of an attempt that a subscription may
	// ask for, at least 1 s. Default: 60 s.
	MaxTimeout time.Duration

	// Permissions are those that a subscription may name; one that names none has
	// "view", which is then to be one of them. It is for what is created and for what is
	// given another permission. Default: any.
	Permissions []string

	// RequireVerification is the method by which the URLs of subscriptions that
	// name none must be proven: those that are created, and each new URL. One that
	// proves less is refused: of all methods "challenge" proves the most, "echo" and
	// "rest_hooks" less, and "cloudevents" the least. Default: they need no proof.
	RequireVerification Verification

	// RequireSite refuses a subscription at a path that is not in the table of
	// sites, where a Resolver whose tree is a Sites would not find it. Default:
	// any path that is not a former one.
	RequireSite bool

	// RootSite confines the store to a site and what is below it: subscriptions
	// elsewhere are [ErrNotFound] and in no list, and are neither made nor moved
	// there; MaxPerOwner counts those here. It is the site's present path: for a site
	// that moves make another store. See also [Store.Within]. Default: "/".
	RootSite hierarchy.Path

	// Schedules are the names of retry schedules that a subscription may name.
	// Default: any.
	Schedules []string

	// Schema is the Postgres schema. Default: "riverhook".
	Schema string

	// Sealer seals signing secrets before they are stored, and opens them: a
	// seal.Keyset, or an AEAD of Tink. seal.Clear() stores them in clear. It must
	// be that of the engines. Required.
	Sealer seal.Sealer

	// Tree says which sites are above a site: that of the engines. See
	// DeleteByOwnerOpts.Above and [Store.Ancestors]. Default: [hierarchy.Paths].
	Tree hierarchy.Tree

	// Verifications are the methods that a subscription may name. Default: all.
	Verifications []Verification
}

func (c Config) withDefaults() Config {
	if c.CheckSecret == nil {
		c.CheckSecret = checkStandardSecret
	}
	c.Dialects = slices.Clone(c.Dialects)
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	if c.MaxPerOwner == 0 {
		c.MaxPerOwner = defaultMaxPerOwner
	}
	if c.MaxPerSite == 0 {
		c.MaxPerSite = defaultMaxPerSite
	}
	if c.MaxTimeout == 0 {
		c.MaxTimeout = defaultMaxTimeout
	}
	c.MaxRate = c.MaxRate.filled()
	c.RootSite = sitetree.OrRoot(c.RootSite)
	c.Permissions = slices.Clone(c.Permissions)
	c.Schedules = slices.Clone(c.Schedules)
	c.Verifications = slices.Clone(c.Verifications)
	if c.Schema == "" {
		c.Schema = store.DefaultSchema
	}
	if c.Tree == nil {
		c.Tree = hierarchy.Paths
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.CheckURL == nil:
		return errors.New("CheckURL: is required; egress.Policy has one")
	case c.MaxInFlight < 1 || c.MaxInFlight > mostInFlight:
		return fmt.Errorf("MaxInFlight: is %d; must be 1 to %d, or 0 for the default", c.MaxInFlight, mostInFlight)
	case c.MaxPerOwner < noLimit:
		return fmt.Errorf("MaxPerOwner: is %d; must be positive, 0 for the default or -1 for no limit", c.MaxPerOwner)
	case c.MaxPerSite < noLimit:
		return fmt.Errorf("MaxPerSite: is %d; must be positive, 0 for the default or -1 for no limit", c.MaxPerSite)
	case c.MaxTimeout < minTimeout:
		return fmt.Errorf("MaxTimeout: is %v; must be at least %v", c.MaxTimeout, minTimeout)
	}
	if bad, ok := errors.AsType[*InvalidError](c.MaxRate.Check()); ok {
		return fmt.Errorf("Max%s: %s", bad.Field, bad.Reason)
	}
	if _, err := hierarchy.ParsePath(string(c.RootSite)); err != nil {
		return fmt.Errorf("RootSite: %w", err)
	}
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("Schema: %w", err)
	}
	if err := sealed.Check(c.Sealer); err != nil {
		return fmt.Errorf("Sealer: %w", err)
	}
	for _, name := range c.Permissions {
		if name == "" || checkLine(name, text.MaxID) != nil {
			return fmt.Errorf("Permissions: %s is no name of a permission", text.Quote(name))
		}
	}
	return c.checkTree()
}

// Store keeps subscriptions and their secrets. It is safe for concurrent
// use.
//
// It is the [Handle] of the application, and has besides what no principal is given. Each
// call is a transaction of its own. [Store.In] returns the store in a transaction of
// the caller's. The store does not decide who may subscribe where: a subscription at "/"
// receives the events of every tenant. The handle that [Store.As] returns asks that for one
// principal, and [Store.Within] confines a store to one tenant.
type Store struct {
	Handle
}

// NewStore returns a store. cfg must have a CheckURL and a Sealer.
func NewStore(pool *pgxpool.Pool, cfg *Config) (*Store, error) {
	if cfg == nil {
		cfg = &Config{}
	}
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, failed("new store", err)
	}
	if pool == nil {
		return nil, failed("new store", errNoPool)
	}
	return &Store{Handle: Handle{
		box:   sealed.NewBox(c.Sealer),
		cfg:   c,
		scope: txn.Of(pool),
	}}, nil
}

func (h *Handle) sealNew(ctx context.Context, n *newSubscription) (err error) {
	n.given.URL = &n.sub.URL
	if n.auth, err = h.sealAuth(ctx, h.db(), n.sub.ID, n.given); err != nil {
		return err
	}
	n.sealed, err = h.seal(ctx, n.sub.ID, n.secret)
	return err
}

func (h *Handle) in(db store.DBTX) *store.Queries { return store.In(db, h.cfg.Schema) }

func (h *Handle) insert(ctx context.Context, tx pgx.Tx, n *newSubscription) (*Created, error) {
	if err := h.lockPlaces(ctx, tx); err != nil {
		return nil, err
	}
	if err := h.checkPlace(ctx, tx, n.sub.Site); err != nil {
		return nil, err
	}
	if err := h.takeCreationLocks(ctx, tx, n.sub.Owner, n.sub.Site); err != nil {
		return nil, err
	}
	if err := h.checkLimits(ctx, tx, n.sub.Owner, n.sub.Site); err != nil {
		return nil, err
	}
	row, err := h.in(tx).InsertSubscription(ctx, n.params())
	if err != nil {
		return nil, err
	}
	if err := h.storeAuth(ctx, tx, n.auth, n.sub.URL); err != nil {
		return nil, err
	}
	sub, err := subscriptionOf(row)
	if err != nil {
		return nil, err
	}
	if sub.unproven() {
		if err := h.setChallenge(ctx, tx, sub); err != nil {
			return nil, err
		}
	}
	return &Created{Subscription: *sub, Secret: n.secret}, nil
}

func (h *Handle) fetch(ctx context.Context, db store.DBTX, id uuid.UUID) (*Subscription, error) {
	row, err := h.in(db).GetSubscription(ctx, id)
	if err != nil {
		return nil, store.Found(err, "subscription "+id.String())
	}
	return h.confined(row)
}

func (h *Handle) update(
	ctx context.Context, tx pgx.Tx, id uuid.UUID, u Update, p *preparedUpdate,
) (*Subscription, error) {
	if u.Site != nil {
		if err := h.lockPlaces(ctx, tx); err != nil {
			return nil, err
		}
	}
	sub, err := h.lock(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	former := *sub
	u.apply(sub)
	if u.Permission != nil {
		if err := h.cfg.checkPermission(sub); err != nil {
			return nil, err
		}
	}
	if sub.Dialect != former.Dialect {
		if err := h.stillSignedBy(ctx, tx, id, p.signedBy); err != nil {
			return nil, err
		}
	}
	challenged, err := h.cfg.settleURL(u, former, sub)
	if err != nil {
		return nil, err
	}
	if err := u.checkCarried(sub, former.URL); err != nil {
		return nil, err
	}
	if u.Site != nil {
		if err := h.settleSite(ctx, tx, sub, former.Site); err != nil {
			return nil, err
		}
	}
	if err := h.storeAuth(ctx, tx, p.auth, sub.URL); err != nil {
		return nil, err
	}
	row, err := h.in(tx).UpdateSubscription(ctx, updateParams(sub, former.URL))
	if err != nil {
		return nil, err
	}
	if challenged {
		if err := h.setChallenge(ctx, tx, sub); err != nil {
			return nil, err
		}
	}
	return subscriptionOf(row)
}

// settleSite lets a subscription have the site that an update has given it.
func (h *Handle) settleSite(ctx context.Context, tx pgx.Tx, sub *Subscription, former hierarchy.Path) error {
	if err := h.checkPlace(ctx, tx, sub.Site); err != nil {
		return err
	}
	sub.stranded = false
	if sub.Site == former {
		return nil
	}
	if err := h.takeCreationLocks(ctx, tx, sub.Owner, sub.Site); err != nil {
		return err
	}
	return h.checkLimits(ctx, tx, "", sub.Site)
}

// lock keeps a subscription from changing until the transaction ends.
func (h *Handle) lock(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Subscription, error) {
	row, err := h.in(tx).LockSubscription(ctx, id)
	if err != nil {
		return nil, store.Found(err, "subscription "+id.String())
	}
	return h.confined(row)
}

// lockPlaces keeps sites where they are until the transaction ends. It comes
// before any lock of a subscription, as when a site moves.
func (h *Handle) lockPlaces(ctx context.Context, tx pgx.Tx) error {
	return h.in(tx).ShareSites(ctx)
}

// checkPlace refuses a former path: what happens there is told at another site.
// It does not follow the path, for that of a deleted site leads to one that
// hears more.
func (h *Handle) checkPlace(ctx context.Context, tx pgx.Tx, site hierarchy.Path) error {
	place, err := h.in(tx).Placement(ctx, string(site))
	switch {
	case err != nil:
		return err
	case place.NowAt != "":
		reason := fmt.Sprintf("%q is a former path", site)
		if h.cfg.RootSite.Contains(hierarchy.Path(place.NowAt)) {
			reason += fmt.Sprintf("; it leads to %q now", place.NowAt)
		}
		return &InvalidError{Field: "Site", Reason: reason}
	case h.cfg.RequireSite && place.ID == "":
		return &InvalidError{Field: "Site", Reason: fmt.Sprintf("there is no site %q", site)}
	}
	return nil
}
