package hierarchy

import "github.com/google/uuid"

// Lookup asks which subscriptions apply to one intent.
type Lookup struct {
	IntentID   uuid.UUID // named in errors
	Type       string    // the event type
	Site       Path      // where the resource lives; "" is "/"
	ActiveSite Path      // where the operation ran; "" is none
	Channel    string    // "" is none
	After      uuid.UUID // only subscriptions with a greater id
	Limit      int       // at most that many, lowest ids first; 0 is no limit
}

// Match is a subscription that applies to an intent.
type Match struct {
	Subscription Subscription
	Site         Path   // the site by which it applies
	Pattern      string // the first of its patterns that applies, one that matches the type itself before one that matches a type it extends
	Why          string // the same in words
}
