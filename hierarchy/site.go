package hierarchy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
	"github.com/riverhook/riverhook/internal/txn"
)

// Site is a node of the tree as it is now.
type Site struct {
	ID        uuid.UUID `json:"id"` // stays when the site is renamed or moved
	Path      Path      `json:"path"`
	CreatedAt time.Time `json:"created_at"` // by the database's clock
}

// SitesConfig says where the sites are.
type SitesConfig struct {
	// Schema is the Postgres schema. Default: "riverhook".
	Schema string
}

func (c SitesConfig) withDefaults() SitesConfig {
	if c.Schema == "" {
		c.Schema = store.DefaultSchema
	}
	return c
}

func (c SitesConfig) validate() error {
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("Schema: %w", err)
	}
	return nil
}

// Sites is a [Tree] in a table, for applications whose sites are renamed, moved
// and deleted while events of them are under way. The root "/" is always there.
// It is safe for concurrent use.
//
// A path that a site had stays its alias, so that an intent that was written
// with it still finds the site where it is now. The path of a deleted site leads to
// the nearest ancestor that lives. An alias ends when another site comes to be at its
// path or above it: intents whose transaction saw that site resolve to it, and those
// whose transaction did not still resolve by the alias. So no intent is another
// tenant's because that has the path now. Aliases of the sites that come back with a
// site to where it was go on.
//
// Each change is a transaction of its own; [Sites.In] returns the sites in a transaction of
// the caller's. Changes wait for one another until their transactions end, so that no two of them can make a cycle. For the
// same reason they need READ COMMITTED, Postgres's default ([ErrIsolation]).
type Sites struct {
	cfg   SitesConfig
	scope txn.Scope
}

// NewSites returns the sites of a database. cfg may be nil.
func NewSites(pool *pgxpool.Pool, cfg *SitesConfig) (*Sites, error) {
	if cfg == nil {
		cfg = &SitesConfig{}
	}
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, failed("new sites", err)
	}
	if pool == nil {
		return nil, failed("new sites", errNoPool)
	}
	return &Sites{cfg: c, scope: txn.Of(pool)}, nil
}

// Create adds a site. Its parent must be there ([ErrNotFound]) and its path free
// ([ErrSiteExists]); a path that is an alias is free, and the alias ends.
// Subscriptions of deleted sites at the path or below it are none of the new site's:
// they move to the parent, where they stay deactivated.
func (s *Sites) Create(ctx context.Context, p Path) (*Site, error) {
	return s.run(ctx, "create site", func(tx pgx.Tx) (*Site, error) { return s.create(ctx, tx, p) })
}

// Get returns the site that has a path now, or [ErrNotFound]. [Sites.Ancestors]
// follows aliases.
func (s *Sites) Get(ctx context.Context, p Path) (*Site, error) {
	site, err := s.get(ctx, s.db(), p)
	return outcome("get site", site, err)
}

// Schema is the Postgres schema that has the sites.
func (s *Sites) Schema() string { return s.cfg.Schema }

func (s *Sites) in(db store.DBTX) *store.Queries { return store.In(db, s.cfg.Schema) }

func (s *Sites) create(ctx context.Context, tx pgx.Tx, p Path) (*Site, error) {
	if _, err := ParsePath(string(p)); err != nil {
		return nil, err
	}
	q, err := s.lock(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := s.checkFree(ctx, q, p); err != nil {
		return nil, err
	}
	parent, err := s.find(ctx, q, p.Parent())
	if err != nil {
		return nil, fmt.Errorf("parent: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	change, err := q.NextSiteChange(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.MakeWay(ctx, &store.MakeWayParams{Heir: parent.Path, Path: string(p)}); err != nil {
		return nil, err
	}
	row, err := q.InsertSite(ctx, &store.InsertSiteParams{
		Change:   change,
		ID:       id,
		ParentID: &parent.ID,
		Path:     string(p),
	})
	if err != nil {
		return nil, err
	}
	return siteOf(row), q.EndAliases(ctx, &store.EndAliasesParams{Change: change, Path: string(p)})
}

func (s *Sites) get(ctx context.Context, db store.DBTX, p Path) (*Site, error) {
	row, err := s.find(ctx, s.in(db), p)
	return siteOf(*row), err
}

// lock keeps all sites from changing until the transaction ends.
func (s *Sites) lock(ctx context.Context, tx pgx.Tx) (*store.Queries, error) {
	q := s.in(tx)
	isolation, err := q.Isolation(ctx)
	if err != nil {
		return nil, err
	}
	if isolation != string(pgx.ReadCommitted) {
		return nil, ErrIsolation
	}
	if err := store.LockSitesPatiently(ctx, tx, s.cfg.Schema); err != nil {
		return nil, err
	}
	return q, nil
}

func (s *Sites) find(ctx context.Context, q *store.Queries, p Path) (*store.Site, error) {
	if _, err := ParsePath(string(p)); err != nil { // Postgres could end the transaction over it
		return &store.Site{}, fmt.Errorf("site: %w: %w", ErrNotFound, err)
	}
	row, err := q.GetSite(ctx, string(p))
	if p == Root && errors.Is(err, pgx.ErrNoRows) {
		return &row, fmt.Errorf("site \"/\": %w: its row was deleted, as TRUNCATE does: run outbox.Migrate, which puts it back", ErrNotFound)
	}
	return &row, store.Found(err, "site "+text.Quote(string(p)))
}

func (s *Sites) checkFree(ctx context.Context, q *store.Queries, p Path) error {
	_, err := q.GetSite(ctx, string(p))
	switch {
	case err == nil:
		return fmt.Errorf("site %s: %w", text.Quote(string(p)), ErrSiteExists)
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	default:
		return err
	}
}

func siteOf(row store.Site) *Site {
	return &Site{
		ID:        row.ID,
		Path:      Path(row.Path),
		CreatedAt: row.CreatedAt,
	}
}
