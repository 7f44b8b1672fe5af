package delivery

import (
	"slices"
	"time"

	"github.com/riverhook/riverhook/access"
)

// AccessConfig says how an engine checks whether owners of subscriptions may see
// resources.
type AccessConfig struct {
	// MaxAge is how old the last check of a delivery may be when a request goes out;
	// an older one is repeated. Default: 30 s.
	MaxAge time.Duration

	// Permissions are those that subscriptions may name by Engine.Subscriptions: those
	// that the checkers of Registry know. One that names none has "view". Default: any.
	Permissions []string

	// Registry has the checkers. Without a checker for a kind of resource the
	// deliveries to owners wait; they are never sent unchecked. Default: no checkers.
	Registry *access.Registry

	// RequireActor also requires that the actor of an intent, if it names one, may see
	// the resource. Default: only the owner is asked.
	RequireActor bool
}

func (a *AccessConfig) fill() (err error) {
	def(&a.MaxAge, 30*time.Second)
	if a.Registry == nil {
		a.Registry, err = access.NewRegistry(nil)
	}
	return err
}

// problem says what is wrong with a field; "" if nothing is.
func (a *AccessConfig) problem() string {
	switch {
	case a.MaxAge < 0:
		return "MaxAge: must not be negative"
	case slices.Contains(a.Permissions, ""):
		return "Permissions: must not hold an empty name"
	default:
		return ""
	}
}
