package hierarchy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
)

// Lookup asks which subscriptions apply to one intent.
type Lookup struct {
	IntentID   uuid.UUID // named in errors
	Type       string    // of the event, or of the question: "before:user.delete"
	Site       Path      // where the resource lives; "" is "/"
	ActiveSite Path      // where the operation ran; "" is none
	Channel    string    // "" is none
	After      uuid.UUID // only subscriptions with a greater id
	Limit      int       // at most that many, lowest ids first; 0 is no limit

	// TreeVersion is the version of [Sites] that the transaction of the intent saw,
	// as stored with it: aliases that ended later hold for it. 0 is the present.
	TreeVersion int64

	// Unrecorded leaves out the subscriptions for which a delivery or a decision of
	// the intent is recorded.
	Unrecorded bool
}

// Match is a subscription that applies to an intent.
type Match struct {
	SubscriptionID uuid.UUID `json:"subscription_id"`
	Site           Path      `json:"site"` // the site by which it applies
	// Pattern is the first of its patterns that applies. One that matches the type itself takes
	// precedence over one that matches a type that it extends.
	Pattern string `json:"pattern"`
	Why     string `json:"why"` // the same in words
}

// ResolverConfig says how a Resolver finds sites.
type ResolverConfig struct {
	// ActiveChain includes the sites above the active site. Default: the active
	// site alone.
	ActiveChain bool

	// Schema is the Postgres schema. Default: "riverhook".
	Schema string

	// Tree says which sites are above a site; a [BatchTree] is asked once for
	// all lookups. [Sites] are read in one snapshot with the subscriptions, on the
	// resolver's pool; they must be of the same schema. Any other tree can change
	// between the two: see [VersionedTree]. Default: [Paths].
	Tree Tree

	// TreeTimeout bounds what a tree of the application may take for one answer.
	// At least 1 ms. Default: 5 s.
	TreeTimeout time.Duration
}

func (c ResolverConfig) withDefaults() ResolverConfig {
	if c.Schema == "" {
		c.Schema = store.DefaultSchema
	}
	if c.Tree == nil {
		c.Tree = Paths
	}
	if c.TreeTimeout == 0 {
		c.TreeTimeout = sitetree.DefaultTimeout
	}
	return c
}

func (c ResolverConfig) validate() error {
	if c.TreeTimeout < time.Millisecond {
		return fmt.Errorf("TreeTimeout: is %s; must be at least 1 ms", c.TreeTimeout)
	}
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("Schema: %w", err)
	}
	return c.checkTree()
}

// checkTree refuses sites along which the subscriptions of the schema would not move.
func (c ResolverConfig) checkTree() error {
	if sites, ok := c.Tree.(*Sites); ok && (sites == nil || sites.cfg.Schema != c.Schema) {
		return errors.New("Tree: is no Sites of this schema, whose subscriptions would not move along")
	}
	return nil
}

// Resolver finds the subscriptions that apply to intents. It is safe for
// concurrent use.
//
// A subscription applies if it sits at the resource's site or above it, or at
// the active site; if one of its patterns matches the event type or a type that
// this one extends; and if it has no channels or the intent is on one of them. A
// question is matched by patterns after "before:" only, and an event by the others.
// Paused and deactivated subscriptions are found too, deleted ones are not:
// what becomes of them is the caller's decision, and visible.
type Resolver struct{ inner *resolve.Resolver }

// NewResolver returns a resolver. cfg may be nil.
func NewResolver(pool *pgxpool.Pool, cfg *ResolverConfig) (*Resolver, error) {
	if cfg == nil {
		cfg = &ResolverConfig{}
	}
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, failed("new resolver", err)
	}
	if pool == nil {
		return nil, failed("new resolver", errNoPool)
	}
	_, sites := c.Tree.(*Sites)
	return &Resolver{inner: resolve.New(pool, resolve.Config{
		ActiveChain: c.ActiveChain,
		Schema:      c.Schema,
		Sites:       sites,
		Tree:        c.Tree,
		TreeTimeout: c.TreeTimeout,
	})}, nil
}

// Resolve returns the matches of each lookup, in the order of the lookups, each
// lookup's in the order of the subscriptions' ids and no subscription twice. The
// sites and the subscriptions are those of one moment, except under a tree of the
// application that is no [VersionedTree]. A tree of the application is asked while no
// connection is held. There is one statement for all lookups. An error, such as
// [ErrTreeChanges], is one of all lookups: try again later.
func (r *Resolver) Resolve(ctx context.Context, lookups []Lookup) ([][]Match, error) {
	asked := make([]resolve.Lookup, len(lookups))
	for i, l := range lookups {
		asked[i] = resolve.Lookup(l)
	}
	found, err := r.inner.Find(ctx, asked)
	if err != nil {
		return nil, err
	}
	matches := make([][]Match, len(found))
	for i := range found {
		matches[i] = matchesOf(found[i].Matches)
	}
	return matches, nil
}

// matchesOf is nil of none.
func matchesOf(found []resolve.Match) []Match {
	if len(found) == 0 {
		return nil
	}
	matches := make([]Match, len(found))
	for i, m := range found {
		matches[i] = Match{
			SubscriptionID: m.Row.ID,
			Site:           m.Site,
			Pattern:        m.Pattern,
			Why:            m.Why,
		}
	}
	return matches
}
