package subscription

import (
	"errors"

	"github.com/riverhook/riverhook/internal/notfound"
)

// Errors of this package, for errors.Is. None of them leaves the caller's
// transaction aborted. A database that has no Riverhook schema of the name in the configuration,
// or one of another version, is an outbox.ErrNotMigrated, which does.
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

// Unwrap returns [ErrInvalid] and what the check of the field returned, such as the error of
// Config.CheckURL, if the check is not this package's own.
func (e *InvalidError) Unwrap() []error {
	if e.err == nil {
		return []error{ErrInvalid}
	}
	return []error{ErrInvalid, e.err}
}

var errNoPool = errors.New("a pool is required")
