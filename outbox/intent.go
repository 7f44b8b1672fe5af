package outbox

import (
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
)

// Resource is what an intent is about: [access.Resource].
type Resource = access.Resource

// Intent says that something happened to a resource at a site. Only Type is
// required. Lengths are in characters, texts are UTF-8 without NUL.
type Intent struct {
	// ActiveSite is the site in which the operation ran, where it differs from
	// Site. Subscriptions at that very site are told too. Empty: none.
	ActiveSite hierarchy.Path `json:"active_site"`

	// Actor is the principal whose action caused the event, at most 512
	// characters.
	Actor string `json:"actor"`

	// Attributes are shown in the history and seen by checkers, externalizers
	// and filters; they are not sent by themselves. All keys and values together
	// have at most 64 KiB.
	Attributes map[string]string `json:"attributes"`

	// Channel reaches, of the subscriptions that name channels, only those that
	// name this one. At most 512 characters.
	Channel string `json:"channel"`

	// Data is encoded as JSON now, not after the commit, so it is a snapshot of
	// the transaction. json.RawMessage and []byte must hold JSON and are kept
	// byte for byte; other values are encoded as encoding/json does, except that
	// "<", ">" and "&" stay as they are. nil becomes null, a nil json.RawMessage or
	// []byte too. The JSON has at most Config.MaxDataBytes bytes, and is nested at
	// most 512 levels deep.
	Data any `json:"data"`

	// ID is the wire id: what receivers see as webhook-id and deduplicate by.
	// 1 to 128 of A-Z, a-z, 0-9, "_" and "-", unique in the database. Give one
	// that is derived from your operation and an operation that runs twice has
	// one event. Empty: a new UUIDv7.
	ID string `json:"id"`

	// NotBefore holds the event back: nobody is looked up or told earlier.
	// Precision is microseconds. Zero: at once.
	NotBefore time.Time `json:"not_before"`

	// OccurredAt is when it happened, in the years 1 to 9999. Precision is
	// microseconds. Zero: the time of the call by the database's clock, which is the
	// time in the key as well and never goes back within a transaction. Events of one
	// row are in the order of its changes if each is enqueued after its change.
	OccurredAt time.Time `json:"occurred_at"`

	// Resource is what the event is about. Kind has at most 128 characters, ID
	// at most 512; either both are given or neither.
	Resource access.Resource `json:"resource"`

	// SchemaVersion is the version of the type's schema that Data must be valid by.
	// It is stored with the intent. It needs Config.Pool. 0: the newest, if there
	// is one.
	SchemaVersion int `json:"schema_version"`

	// Share is what takes turns: while more events wait than engines can deal with, the
	// share that was served least is next, and a backlog of one share does not delay
	// another. Give all events of one tenant the same. 1 to 64 of A-Z, a-z, 0-9 and
	// "._~@:+-", or "/". Empty: the first segment of Site, "/" at the root.
	Share string `json:"share"`

	// Site is where the resource lives. Empty: "/".
	Site hierarchy.Path `json:"site"`

	// Type names what happened, such as "user.created": 2 to 8 segments of a-z,
	// 0-9 and "_", joined by ".", at most 128 characters.
	Type string `json:"type"`
}

// Result is what became of an intent that was accepted.
type Result struct {
	// ID is the intent's wire id.
	ID string `json:"id"`

	// Duplicate is true where an intent with this ID and the same Type, Site,
	// Resource and Data was there already. Nothing was written then; it keeps the
	// SchemaVersion that it has.
	Duplicate bool `json:"duplicate"`
}
