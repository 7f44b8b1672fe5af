package subscription

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/hierarchy"
)

// Spec is a subscription to be created. URL, Events and one of Owner
// and Operator are required. No text may hold NUL or invalid UTF-8, and none but
// Description (lines and tabs), Headers and Metadata a control character, one of
// Unicode's bidirectional controls among them. Printed, logged or encoded as JSON it
// shows what a [Subscription] shows.
type Spec struct {
	// Channels are exact, case-sensitive names. None: the subscription hears
	// intents on any channel and on none; some: only intents on one of them. At
	// most 100, of 1 to 512 characters, no two alike.
	Channels []string `json:"channels"`

	// Credentials are what requests carry in the header Authorization, in place of
	// one that the dialect makes; Headers must not have that header then. They are
	// stored sealed. Where URL comes to lead to another host they must be given
	// again, or removed: whoever changes it cannot have them sent elsewhere.
	// Default: none.
	Credentials Credentials `json:"credentials"`

	// Deactivation are rules of its own for when it is deactivated; a zero field
	// means what the engine has. Default: the engine's rules.
	Deactivation *DeactivationRules `json:"deactivation"`

	// Description is for people, up to 4096 characters.
	Description string `json:"description"`

	// Dialect names the wire format. Default: "standard".
	Dialect string `json:"dialect"`

	// Events are the patterns of event types that are heard (see [event.CheckPattern]),
	// 1 to 100 and no two alike. Those that begin with "before:" make the subscription a gate: it
	// is asked before something happens, and can veto it.
	Events []string `json:"events"`

	// FailClosed makes a gate that cannot be asked, or does not answer in time, stop
	// what was asked about. Default: it goes on. Events know no difference.
	FailClosed bool `json:"fail_closed"`

	// Filter is an expression that must be true of an intent for the subscription
	// to hear of it, up to 2048 characters. Config.CheckFilter says
	// what may be one, and the engine evaluates it: see package filter. Default:
	// every intent.
	Filter string `json:"filter"`

	// Headers are added to each request: up to 50, in all at most 8 KiB. Those
	// that HTTP or a dialect sets by itself are refused: Host, Content-*,
	// Accept-Encoding, Transfer-Encoding, Connection, Keep-Alive, Proxy-*, TE,
	// Trailer, Upgrade, HTTP2-Settings, Expect, User-Agent, Idempotency-Key,
	// X-Idempotency-Key and Webhook-*. Case does not count, and "_" counts as "-".
	// Of a header that the subscription's dialect sets, the dialect's is sent.
	Headers map[string]string `json:"headers"`

	// MaxInFlight is how many requests may be under way at the same time, 1 to
	// Config.MaxInFlight. 0 is the engine's default.
	MaxInFlight int `json:"max_in_flight"`

	// Metadata is the application's own and is never sent: up to 50 keys, 8 KiB
	// as JSON.
	Metadata map[string]string `json:"metadata"`

	// Name is for people, up to 256 characters.
	Name string `json:"name"`

	// Operator makes the subscription one of the operator: nobody is asked
	// whether it may see a resource. Owner and Permission must be empty then.
	Operator bool `json:"operator"`

	// Owner is the principal that must be allowed to see a resource for it to be
	// sent: up to 512 characters without white space. It is for life.
	Owner string `json:"owner"`

	// Paused creates the subscription paused rather than active.
	Paused bool `json:"paused"`

	// Permission is what the owner needs, up to 512 characters, and one of
	// Config.Permissions if there are any. Default: "view".
	Permission string `json:"permission"`

	// Rate is how many events may be sent to it in a time, Config.MaxRate at most. A
	// change holds within seconds. Default: Config.MaxRate, and without that no limit.
	Rate Rate `json:"rate"`

	// Schedule names the retry schedule. "" is that of the dialect, or else the engine's
	// default.
	Schedule string `json:"schedule"`

	// Secret is what requests are signed with: what the receiver has already, as
	// dialect.ReadSecret reads it, or the zero value, which makes one of 32 random bytes.
	// Dialects that sign with the text itself (hub, stripe, pywebhooks, servo) take any
	// of up to 1024 bytes, and no Ed25519 key; those of Standard Webhooks take what its
	// libraries do: base64 of 24 to 64 bytes, with "whsec_" before it or without, and an
	// Ed25519 key, "whsk_...".
	Secret Secret `json:"secret"`

	// SecretKind is how the secret signs. Default: as Secret does, or SecretHMAC.
	SecretKind SecretKind `json:"secret_kind"`

	// SecretHeaders are Headers whose values are secret, such as an API key. They
	// are sent like those, and stored sealed: no method gives the values back, and
	// wherever they are shown they are "[redacted]". The limits are for both
	// together, and no header may be in both. As for Credentials, they must be given
	// again, or removed, where URL comes to lead to another host. Default: none.
	SecretHeaders map[string]string `json:"secret_headers"`

	// Site is where the subscription sits: it hears of resources there and
	// anywhere below. Default: "/", which hears everything.
	Site hierarchy.Path `json:"site"`

	// TLS is what connections to the endpoint have of their own: authorities, and a
	// client certificate. It is stored sealed. Default: the engine's.
	TLS EndpointTLS `json:"tls"`

	// Timeout bounds one attempt, body included: 1 s to Config.MaxTimeout
	// in whole milliseconds. 0 is the engine's default.
	Timeout time.Duration `json:"timeout_ns"`

	// URL is where requests go. Config.CheckURL decides what is
	// allowed. An international host name is stored and shown in its ASCII form:
	// "https://bücher.example" as "https://xn--bcher-kva.example".
	URL string `json:"url"`

	// Verification is how the URL, and each that takes its place, must be proven
	// before anything is sent to it. Default: Config.RequireVerification.
	Verification Verification `json:"verification"`
}

// plainSpec is a Spec without its methods.
type plainSpec Spec

func (s Spec) redacted() plainSpec {
	s.Headers = redactValues(s.Headers)
	s.SecretHeaders = redactValues(s.SecretHeaders)
	s.URL = redactURL(s.URL)
	return plainSpec(s)
}

// Format implements fmt.Formatter, without credentials.
func (s Spec) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), s.redacted())
}

// MarshalJSON implements json.Marshaler, without credentials.
func (s Spec) MarshalJSON() ([]byte, error) {
	return json.Marshal(s.redacted())
}

// Update changes the fields that are not nil; each means and allows
// what it does in [Spec], an empty value its default. The owner of a
// subscription is for life: what was granted to one must not pass to another.
// State and secrets have methods of their own.
//
// Where URLs must be proven, a new URL of a subscription that is in force becomes its
// PendingURL, and the former one stays in force until the new one is proven; another
// takes its place, and the former one given again drops it. Credentials and
// SecretHeaders for another host are refused together with it: they would be sent to
// the former host. Those that there are end when a URL on another host comes in
// force. A new Verification is for what is to be proven now or later; "" is refused
// while anything is. Printed, logged or encoded as JSON
// it shows no credentials.
type Update struct {
	Channels      *[]string          `json:"channels"`
	Credentials   *Credentials       `json:"credentials"`
	Deactivation  *DeactivationRules `json:"deactivation"`
	Description   *string            `json:"description"`
	Dialect       *string            `json:"dialect"`
	Events        *[]string          `json:"events"`
	FailClosed    *bool              `json:"fail_closed"`
	Filter        *string            `json:"filter"`
	Headers       *map[string]string `json:"headers"`
	MaxInFlight   *int               `json:"max_in_flight"`
	Metadata      *map[string]string `json:"metadata"`
	Name          *string            `json:"name"`
	Permission    *string            `json:"permission"`
	Rate          *Rate              `json:"rate"`
	Schedule      *string            `json:"schedule"`
	SecretHeaders *map[string]string `json:"secret_headers"`
	Site          *hierarchy.Path    `json:"site"`
	TLS           *EndpointTLS       `json:"tls"`
	Timeout       *time.Duration     `json:"timeout_ns"`
	URL           *string            `json:"url"`
	Verification  *Verification      `json:"verification"`
}

// plainUpdate is a Update without its methods.
type plainUpdate Update

func (u Update) redacted() plainUpdate {
	if u.Headers != nil {
		u.Headers = new(redactValues(*u.Headers))
	}
	if u.SecretHeaders != nil {
		u.SecretHeaders = new(redactValues(*u.SecretHeaders))
	}
	if u.URL != nil {
		u.URL = new(redactURL(*u.URL))
	}
	return plainUpdate(u)
}

// Format implements fmt.Formatter, without credentials.
func (u Update) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), u.redacted())
}

// MarshalJSON implements json.Marshaler, without credentials.
func (u Update) MarshalJSON() ([]byte, error) {
	return json.Marshal(u.redacted())
}

// Created is a subscription that has just been created, with its secret: this is
// when it is shown. For an Ed25519 one the receiver gets Secret.PublicKey.
type Created struct {
	Subscription

	Secret Secret
}
