package hierarchy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
)

const defaultTreeTimeout = 5 * time.Second

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
	Subscription Subscription `json:"subscription"`
	Site         Path         `json:"site"` // the site by which it applies
	// Pattern is the first of its patterns that applies; one that matches the type itself goes
	// before one of a type that it extends.
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
		c.TreeTimeout = defaultTreeTimeout
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
	return checkTree(c.Tree, c.Schema)
}

// Resolver finds the subscriptions that apply to intents. It is safe for
// concurrent use.
//
// A subscription applies if it sits at the resource's site or above it, or at
// the active site; if one of its patterns matches the event type or a type that
// this one extends; and if it has no channels or the intent is on one of them. A
// question is matched by patterns behind "before:" alone, and an event by the others.
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
	if err := checkText(l.Channel, maxIDText); err != nil {
		return fmt.Errorf("Channel: %w", err)
	}
	return checkHeard(l.Type)
}

func resolveParams(lookups []Lookup, reaches []reach, first []int) *store.ResolveParams {
	p := &store.ResolveParams{}
	patterns := make(map[string]string)
	for i, l := range lookups {
		if first[i] != i {
			continue
		}
		if _, known := patterns[l.Type]; !known {
			patterns[l.Type] = strings.Join(Patterns(l.Type), " ")
		}
		limit := l.Limit
		if limit == 0 {
			limit = math.MaxInt32
		}
		p.Ords = append(p.Ords, i)
		name, prefix := splitType(l.Type)
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

func matchOf(row store.ResolveRow, l *Lookup, sites *reach) (Match, error) {
	sub, err := subscriptionOf(store.Subscription{
		ID:                 row.ID,
		Name:               row.Name,
		Description:        row.Description,
		Site:               row.Site,
		URL:                row.URL,
		Events:             row.Events,
		Channels:           row.Channels,
		Filter:             row.Filter,
		Owner:              row.Owner,
		Operator:           row.Operator,
		Permission:         row.Permission,
		Dialect:            row.Dialect,
		Headers:            row.Headers,
		Schedule:           row.Schedule,
		TimeoutMs:          row.TimeoutMs,
		FailClosed:         row.FailClosed,
		MaxInFlight:        row.MaxInFlight,
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		Metadata:           row.Metadata,
		State:              row.State,
		StateReason:        row.StateReason,
		StateSince:         row.StateSince,
		Epoch:              row.Epoch,
		CreatedAt:          row.CreatedAt,
		UpdatedAt:          row.UpdatedAt,
		DeletedAt:          row.DeletedAt,
	})
	if err != nil {
		return Match{}, err
	}
	m := Match{
		Subscription: *sub,
		Site:         sub.Site,
		Pattern:      row.Pattern,
	}
	why := "a type that " + l.Type + " extends matches"
	for _, pattern := range sub.Events {
		if MatchPattern(pattern, l.Type) {
			m.Pattern, why = pattern, l.Type+" matches"
			break
		}
	}
	m.Why = fmt.Sprintf("%s; %s %q", sites.why(sub.Site), why, m.Pattern)
	if len(sub.Channels) > 0 {
		m.Why += fmt.Sprintf("; on channel %q", l.Channel)
	}
	return m, nil
}

var errTree = errors.New("the tree broke its contract")
