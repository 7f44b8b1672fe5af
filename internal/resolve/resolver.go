package resolve

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// Lookup is hierarchy.Lookup.
type Lookup struct {
	IntentID    uuid.UUID
	Type        string
	Site        access.Path
	ActiveSite  access.Path
	Channel     string
	After       uuid.UUID
	Limit       int
	TreeVersion int64
	Unrecorded  bool
}

// Match is a subscription that applies to an intent.
type Match struct {
	Row     *store.ResolveRow // the subscription, as the lookup has read it
	Site    access.Path       // the site by which it applies
	Pattern string            // as in hierarchy.Match
	Why     string            // the same in words
}

// Config says how a Resolver finds sites. Zero fields but Sites are the defaults of
// hierarchy.ResolverConfig, which has checked what is given.
type Config struct {
	// ActiveChain includes the sites above the active site.
	ActiveChain bool

	// Schema is the Postgres schema.
	Schema string

	// Sites says that Tree is the table of sites of Schema.
	Sites bool

	// Tree says which sites are above a site.
	Tree sitetree.Tree

	// TreeTimeout bounds what a tree of the application may take for one answer.
	TreeTimeout time.Duration
}

// Resolver finds the subscriptions that apply to intents, as hierarchy.Resolver does, and
// says by which sites. It is safe for concurrent use.
type Resolver struct {
	cfg  Config
	pool *pgxpool.Pool
}

// New returns a resolver.
func New(pool *pgxpool.Pool, cfg Config) *Resolver {
	cfg.Schema = cmp.Or(cfg.Schema, store.DefaultSchema)
	cfg.TreeTimeout = cmp.Or(cfg.TreeTimeout, sitetree.DefaultTimeout)
	if cfg.Tree == nil {
		cfg.Tree = sitetree.Paths{}
	}
	return &Resolver{cfg: cfg, pool: pool}
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
	return eventtype.Check(l.Type)
}

func resolveParams(lookups []Lookup, reaches []reach, first []int) *store.ResolveParams {
	p := &store.ResolveParams{}
	patterns := make(map[string]string)
	for i, l := range lookups {
		if first[i] != i {
			continue
		}
		if _, known := patterns[l.Type]; !known {
			patterns[l.Type] = strings.Join(eventtype.Patterns(l.Type), " ")
		}
		limit := l.Limit
		if limit == 0 {
			limit = math.MaxInt32
		}
		p.Ords = append(p.Ords, i)
		name, prefix := eventtype.Split(l.Type)
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
		Row:     row,
		Site:    access.Path(row.Site),
		Pattern: row.Pattern,
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
