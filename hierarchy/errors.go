package hierarchy

import (
	"errors"

	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/sitetree"
)

// Errors of this package, for errors.Is. None of them leaves the caller's
// transaction aborted. A database that has no Riverhook schema of the name in the configuration,
// or one of another version, is an outbox.ErrNotMigrated, which does.
var (
	// ErrInvalidPath means that a path would not be allowed. The error says why.
	ErrInvalidPath = errors.New("invalid path")

	// ErrIsolation means that sites are to be changed in a transaction that is
	// not READ COMMITTED: it would not see what others changed while it waited.
	ErrIsolation = errors.New("sites are changed under READ COMMITTED only")

	// ErrNotFound means that there is no such site. It is the ErrNotFound of the other
	// packages.
	ErrNotFound = notfound.Err

	// ErrRootSite means that "/" cannot be renamed, moved or deleted.
	ErrRootSite = errors.New(`the root "/" cannot be changed`)

	// ErrSiteCycle means that a site cannot be moved below itself.
	ErrSiteCycle = errors.New("a site cannot be moved below itself")

	// ErrSiteExists means that the path belongs to a site already.
	ErrSiteExists = errors.New("a site with this path exists")

	// ErrSiteHasChildren means that a site with others below it is deleted only
	// with DeleteSiteOpts.Recursive.
	ErrSiteHasChildren = errors.New("the site has others below it")

	// ErrTreeChanges means that the tree has changed each time that it was read: try
	// again later.
	ErrTreeChanges = sitetree.ErrChanges
)

var errNoPool = errors.New("a pool is required")
