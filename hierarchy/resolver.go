package hierarchy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
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

// Match is a subscription that applies to an intent. subscription.Find returns the
// subscription itself with it.
type Match struct {
	SubscriptionID uuid.UUID `json:"subscription_id"`
	Site           Path      `json:"site"` // the site by which it applies
	// Pattern is the first of its patterns that applies. One that matches the type itself takes
	// precedence over one that matches a type that it extends.
	Pattern string `json:"pattern"`
	Why     string `json:"why"` // the same in words

	row *store.ResolveRow
}

// Row is the subscription as the lookup has read it, for package subscription. It is nil if
// no [Resolver] has made the match.
func (m *Match) Row() *store.ResolveRow { return m.row }

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
type Resolver struct {
	cfg  ResolverConfig
	pool *pgxpool.Pool
}

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
	return &Resolver{cfg: c, pool: pool}, nil
}

// alike names, for each lookup, the first one that asks the same: under load
// most of a batch is events of few types at few sites, and is looked up once.
func alike(lookups []Lookup, reaches []reach) []int {
	type question struct {
		eventType, sites, channel string
		chain                     int // how many of the sites are the resource's
		after, unrecordedOf       uuid.UUID
		limit                     int
	}
	known := make(map[question]int, len(lookups))
	first := make([]int, len(lookups))
	for i, l := range lookups {
		q := question{l.Type, reaches[i].list(), l.Channel, len(reaches[i].resource), l.After, uuid.Nil, l.Limit}
		if l.Unrecorded {
			q.unrecordedOf = l.IntentID
		}
		if _, asked := known[q]; !asked {
			known[q] = i
		}
		first[i] = known[q]
	}
	return first
}

func (l Lookup) check() error {
	if l.Limit < 0 || l.Limit > math.MaxInt32 {
		return fmt.Errorf("Limit: is %d", l.Limit)
	}
	if err := text.Check(l.Channel, text.MaxID); err != nil {
		return fmt.Errorf("Channel: %w", err)
	}
	return event.Check(l.Type)
}

func resolveParams(lookups []Lookup, reaches []reach, first []int) *store.ResolveParams {
	p := &store.ResolveParams{}
	patterns := make(map[string]string)
	for i, l := range lookups {
		if first[i] != i {
			continue
		}
		if _, known := patterns[l.Type]; !known {
			patterns[l.Type] = strings.Join(event.Patterns(l.Type), " ")
		}
		limit := l.Limit
		if limit == 0 {
			limit = math.MaxInt32
		}
		p.Ords = append(p.Ords, i)
		name, prefix := event.Split(l.Type)
		p.Types = append(p.Types, name)
		p.Prefixes = append(p.Prefixes, prefix)
		p.Sites = append(p.Sites, reaches[i].list())
		p.Patterns = append(p.Patterns, patterns[l.Type])
		p.Channels = append(p.Channels, l.Channel)
		p.IntentIds = append(p.IntentIds, l.IntentID.String())
		p.Unrecorded = append(p.Unrecorded, l.Unrecorded)
		p.Afters = append(p.Afters, l.After.String())
		p.Limits = append(p.Limits, limit)
	}
	return p
}

func matchOf(row *store.ResolveRow, l *Lookup, sites *reach) Match {
	m := Match{
		SubscriptionID: row.ID,
		Site:           Path(row.Site),
		Pattern:        row.Pattern,
		row:            row,
	}
	why := "a type that " + l.Type + " extends matches"
	for _, pattern := range row.Events {
		if event.MatchPattern(pattern, l.Type) {
			m.Pattern, why = pattern, l.Type+" matches"
			break
		}
	}
	m.Why = fmt.Sprintf("%s; %s %q", sites.why(m.Site), why, m.Pattern)
	if len(row.Channels) > 0 {
		m.Why += fmt.Sprintf("; on channel %q", l.Channel)
	}
	return m
}
