package subscription

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
)

// The states of a subscription.
const (
	// StateActive: deliveries are made and sent.
	StateActive State = "active"

	// StatePaused: deliveries are made and held until the subscription is
	// activated again.
	StatePaused State = "paused"

	// StatePendingVerification: the URL was not proven yet (see [Verification]). No
	// delivery is made; each event leaves a decision "inactive". The subscription
	// becomes active when it is.
	StatePendingVerification State = "pending_verification"

	// StateDeactivated: no delivery is made; each event leaves a decision
	// "inactive". Deliveries that were pending end cancelled.
	StateDeactivated State = "deactivated"
)

// State is what a subscription does with events.
type State string

// Subscription is a URL that hears of events at a site and below it. It is what
// the store returns, a copy: changing it changes nothing in the database.
// Printed, logged or encoded as JSON it shows neither the values of headers nor
// the URL's user, password and query, which may hold credentials.
type Subscription struct {
	ID                uuid.UUID          `json:"id"`                 // a version 7 UUID
	Name              string             `json:"name"`               // for people
	Manifest          string             `json:"manifest"`           // the manifest that it is kept by, see package manifest; "" is none
	ManifestKey       string             `json:"manifest_key"`       // what it is called there
	Description       string             `json:"description"`        // for people
	Site              hierarchy.Path     `json:"site"`               // hears of resources here and below
	URL               string             `json:"url"`                // where requests go
	PendingURL        string             `json:"pending_url"`        // takes the place of URL when it is proven; "" is none
	Verification      Verification       `json:"verification"`       // how a URL is proven; "" needs no proof
	VerifiedAt        *time.Time         `json:"verified_at"`        // when URL was proven; nil: it was not
	VerificationError string             `json:"verification_error"` // why the last try proved nothing; "" when it did
	Events            []string           `json:"events"`             // patterns of event types and of questions, see event.CheckPattern
	Channels          []string           `json:"channels"`           // none: all intents; some: only intents on one of them
	Filter            string             `json:"filter"`             // an expression that must be true of an intent; "" is none
	Owner             string             `json:"owner"`              // the principal that must be allowed to see a resource; "" with Operator
	Operator          bool               `json:"operator"`           // nobody is asked whether it may see a resource
	Permission        string             `json:"permission"`         // what the owner needs; "" with Operator
	Dialect           string             `json:"dialect"`            // the wire format's name
	Headers           map[string]string  `json:"headers"`            // added to each request
	SecretHeaders     map[string]string  `json:"secret_headers"`     // the same, stored sealed: the names, each with "[redacted]"
	Schedule          string             `json:"schedule"`           // the retry schedule's name; "" is the dialect's, or the engine's default
	Timeout           time.Duration      `json:"timeout_ns"`         // of one attempt; 0 is the engine's default
	FailClosed        bool               `json:"fail_closed"`        // a question to it that is not answered stops what was asked about
	MaxInFlight       int                `json:"max_in_flight"`      // requests at the same time; 0 is the engine's default
	Rate              Rate               `json:"rate"`               // events in a time; the zero Rate is the most that the engine allows
	Deactivation      *DeactivationRules `json:"deactivation"`       // its own rules; nil: the engine's
	Credentials       CredentialsKind    `json:"credentials"`        // what requests carry in the header Authorization; "" is nothing
	OwnRootCAs        bool               `json:"own_root_cas"`       // the endpoint's certificate is verified by authorities of its own
	ClientCertificate bool               `json:"client_certificate"` // the endpoint is shown a client certificate of the subscription's
	Metadata          map[string]string  `json:"metadata"`           // the application's own; never sent
	State             State              `json:"state"`              // see the constants
	StateReason       string             `json:"state_reason"`       // why it is deactivated, or is not asked for its proof any more; else ""
	StateSince        time.Time          `json:"state_since"`        // when the state last changed
	Epoch             int                `json:"epoch"`              // grows by one at each deactivation, from 1

	// CredentialsVersion grows with each change of the credentials, the sealed
	// headers or the TLS settings; 0: there never were any.
	CredentialsVersion int `json:"credentials_version"`

	// URLVersion grows by one with each URL that comes in force, from 1. What has
	// been counted against the endpoint of a former one does not count any more.
	URLVersion int `json:"url_version"`

	CreatedAt time.Time  `json:"created_at"` // by the database's clock
	UpdatedAt time.Time  `json:"updated_at"` // by the database's clock
	DeletedAt *time.Time `json:"deleted_at"` // nil unless deleted

	secretHeaderBytes int  // names and values
	stranded          bool // its site was deleted
}

// Action is the question whether a principal may do this with the subscription.
func (s Subscription) Action(principal string, verb access.Verb) access.Action {
	a := access.Action{
		Principal:   principal,
		Verb:        verb,
		Site:        s.Site,
		Owner:       s.Owner,
		Operator:    s.Operator,
		Permission:  s.Permission,
		Events:      s.Events,
		Channels:    s.Channels,
		Filter:      s.Filter,
		FailClosed:  s.FailClosed,
		MaxInFlight: s.MaxInFlight,
		Rate:        s.Rate.perSecond(),
		Burst:       s.Rate.Burst,
		Timeout:     s.Timeout,
	}
	if s.ID != uuid.Nil {
		a.SubscriptionID = s.ID.String()
	}
	if u, err := url.Parse(s.URL); err == nil {
		a.Host = u.Host
	}
	return a
}

// Format implements fmt.Formatter: one line that names the subscription, for each verb and flag.
func (s Subscription) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "subscription %s at %s to %s (%s)", s.ID, s.Site, redactURL(s.URL), s.State)
}

// MarshalJSON implements json.Marshaler: all fields, without credentials. Of a
// [Created] it leaves the secret out.
func (s Subscription) MarshalJSON() ([]byte, error) {
	type plain Subscription
	s.Headers, s.SecretHeaders = redactValues(s.Headers), redactValues(s.SecretHeaders)
	s.URL, s.PendingURL = redactURL(s.URL), redactURL(s.PendingURL)
	return json.Marshal(plain(s))
}

// redactValues keeps the names.
func redactValues(headers map[string]string) map[string]string {
	if headers == nil {
		return nil
	}
	names := make(map[string]string, len(headers))
	for name := range headers {
		names[name] = redacted
	}
	return names
}

// redactURL keeps what says where requests go, and nothing that may be a credential.
func redactURL(raw string) string {
	if raw == "" {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return redacted
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String()
}
