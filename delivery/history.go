package delivery

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/store"
)

// ErrNotFound is behind the error for an intent, delivery or subscription that is not
// there: it never was, or was pruned.
var ErrNotFound = notfound.Err

// HistoryConfig says where a History reads. All of it but Schema matters to
// Explain only, and must then be as in the engine's Config.
type HistoryConfig struct {
	// ActiveChain is that of Config. Default: false.
	ActiveChain bool

	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string

	// Tree is the hierarchy of sites. Default: hierarchy.Paths.
	Tree hierarchy.Tree
}

// History reads what has become of intents: a [View] of all of it, and what no principal
// is given. It only reads, needs no engine and starts nothing, so that a process that
// serves people can have one of its own. It is safe for concurrent use.
type History struct {
	View
}

// NewHistory returns a History. cfg may be nil.
func NewHistory(pool *pgxpool.Pool, cfg *HistoryConfig) (*History, error) {
	if pool == nil {
		return nil, errors.New("delivery: new history: the pool is nil")
	}
	c := HistoryConfig{}
	if cfg != nil {
		c = *cfg
	}
	def(&c.Schema, store.DefaultSchema)
	resolver, err := newResolver(pool, &hierarchy.ResolverConfig{
		ActiveChain: c.ActiveChain,
		Schema:      c.Schema,
		Tree:        c.Tree,
	})
	if err != nil {
		return nil, fmt.Errorf("delivery: new history: %w", err)
	}
	return &History{newView(pool, c.Schema, resolver)}, nil
}

// History is the history of the engine's schema, by the engine's tree. The
// engine need not run.
func (e *Engine) History() *History { return &History{e.View} }

// As returns the history in the hands of a principal, as auth allows. A nil auth
// and the principal "" are denied everything.
func (h *History) As(principal string, auth access.Authorizer) *View {
	v := h.View
	v.by = newAuthority(principal, auth)
	return &v
}
