package delivery

import (
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/resolve"
)

// newResolver returns what finds subscriptions for an engine or a history. It refuses what
// [hierarchy.NewResolver] refuses.
func newResolver(pool *pgxpool.Pool, cfg *hierarchy.ResolverConfig) (*resolve.Resolver, error) {
	if _, err := hierarchy.NewResolver(pool, cfg); err != nil {
		return nil, err
	}
	_, sites := cfg.Tree.(*hierarchy.Sites)
	return resolve.New(pool, resolve.Config{
		ActiveChain: cfg.ActiveChain,
		Schema:      cfg.Schema,
		Sites:       sites,
		Tree:        cfg.Tree,
		TreeTimeout: cfg.TreeTimeout,
	}), nil
}
