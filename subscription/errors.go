package subscription

import (
	"errors"

	"github.com/riverhook/riverhook/internal/migration"
	"github.com/riverhook/riverhook/internal/notfound"
)

// Errors of this package, for errors.Is. None of them but ErrNotMigrated leaves the
// caller's transaction aborted.
var (
	// ErrDeactivated means that a subscription is deactivated and must be
	// activated before it can be paused.
	ErrDeactivated = errors.New("the subscription is deactivated")

	// ErrInvalid is what every [*InvalidError] is.
	ErrInvalid = errors.New("invalid subscription")

	// ErrLastSecret means that a secret is the last that signs, and cannot be
	// revoked.
	ErrLastSecret = errors.New("the last secret of a subscription cannot be revoked: give it a new one")

	// ErrLimit is what every [*LimitError] is: an owner or a site has as many
	// subscriptions as it may have.
	ErrLimit = errors.New("too many subscriptions")

	// ErrNotFound means that there is no such subscription, site or secret, or that it
	// was deleted. It is the ErrNotFound of the other packages.
	ErrNotFound = notfound.Err

	// ErrNotMigrated means that the database has no Riverhook schema of the name in the
	// configuration, or that of another version: run outbox.Migrate. In a transaction of
	// the caller's it is aborted.
	ErrNotMigrated = migration.ErrNotMigrated
)

// InvalidError says which field of a subscription is refused, and
// why. It shows no value of a field that may hold a credential.
type InvalidError struct {
	Field  string // as in Spec: "URL", "Events", ...
	Reason string // "must ...", "is ..."

	err error
}

// Error implements error.
func (e *InvalidError) Error() string {
	return "invalid subscription: " + e.Field + ": " + e.Reason
}

// Is makes the error an [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Unwrap returns what the check of the field returned, such as the error of
// Config.CheckURL; nil where the check is this package's own.
func (e *InvalidError) Unwrap() error { return e.err }

var errNoPool = errors.New("a pool is required")
