package hierarchy

import (
	"errors"

	"github.com/riverhook/riverhook/internal/migration"
)

// Errors of this package, for errors.Is. None of them but ErrNotMigrated leaves the
// caller's transaction aborted.
var (
	// ErrDeactivated means that a subscription is deactivated and must be
	// activated before it can be paused.
	ErrDeactivated = errors.New("the subscription is deactivated")

	// ErrInvalidPath means that a path would not be allowed. The error says why.
	ErrInvalidPath = errors.New("invalid path")

	// ErrInvalidSubscription is what every [*InvalidSubscriptionError] is.
	ErrInvalidSubscription = errors.New("invalid subscription")

	// ErrIsolation means that sites are to be changed in a transaction that is
	// not READ COMMITTED: it would not see what others changed while it waited.
	ErrIsolation = errors.New("sites are changed under READ COMMITTED only")

	// ErrLastSecret means that a secret is the last that signs, and cannot be
	// revoked.
	ErrLastSecret = errors.New("the last secret of a subscription cannot be revoked: give it a new one")

	// ErrLimit is what every [*LimitError] is: an owner or a site has as many
	// subscriptions as it may have.
	ErrLimit = errors.New("too many subscriptions")

	// ErrNotFound means that there is no such site, subscription or secret, or that
	// it was deleted.
	ErrNotFound = errors.New("not found")

	// ErrNotMigrated means that the database has no Riverhook schema of the name in the
	// configuration, or that of another version: run outbox.Migrate. In a transaction of
	// the caller's it is aborted.
	ErrNotMigrated = migration.ErrNotMigrated

	// ErrRootSite means that "/" cannot be renamed, moved or deleted.
	ErrRootSite = errors.New(`the root "/" cannot be changed`)

	// ErrSiteCycle means that a site cannot be moved below itself.
	ErrSiteCycle = errors.New("a site cannot be moved below itself")

	// ErrSiteExists means that the path belongs to a site already.
	ErrSiteExists = errors.New("a site with this path exists")

	// ErrSiteHasChildren means that a site with others below it is deleted only
	// with DeleteSiteOpts.Recursive.
	ErrSiteHasChildren = errors.New("the site has others below it")
)

// InvalidSubscriptionError says which field of a subscription is refused, and
// why. It shows no value of a field that may hold a credential.
type InvalidSubscriptionError struct {
	Field  string // as in SubscriptionSpec: "URL", "Events", ...
	Reason string // "must ...", "is ..."

	err error
}

// Error implements error.
func (e *InvalidSubscriptionError) Error() string {
	return "invalid subscription: " + e.Field + ": " + e.Reason
}

// Is makes the error an [ErrInvalidSubscription].
func (e *InvalidSubscriptionError) Is(target error) bool { return target == ErrInvalidSubscription }

// Unwrap returns what the check of the field returned, such as the error of
// SubscriptionsConfig.CheckURL; nil where the check is this package's own.
func (e *InvalidSubscriptionError) Unwrap() error { return e.err }

var errNoPool = errors.New("a pool is required")
