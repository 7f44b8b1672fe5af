package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
)

// maxRequestBytes bounds Config.MaxRequestBytes: a message is one value of the
// database and one piece of memory.
const maxRequestBytes = 128 << 20

// maxRecordTimeout keeps jobs that wait for a record below what a job can take.
const maxRecordTimeout = 15 * time.Minute

// Config configures an [Engine]. With nothing but a Sealer it delivers to https
// endpoints, in all dialects of package dialect, for subscriptions of operators; a
// subscription with an owner waits until a checker is registered.
type Config struct {
	// Access decides whether an owner may see a resource. Without a checker for
	// a kind of resource the deliveries to owners wait; they are never sent
	// unchecked. Default: no checkers.
	Access *access.Registry

	// AccessMaxAge is how old the last check of a delivery may be when a
	// request goes out; an older one is repeated. Default: 30 s.
	AccessMaxAge time.Duration

	// ActiveChain also tells the subscriptions at the ancestors of an intent's
	// active site. Default: only those at the active site itself.
	ActiveChain bool

	// AskTimeout bounds the answers to a question, of all gates together, where
	// Question.Timeout does not. At least 1 ms. Default: 5 s.
	AskTimeout time.Duration

	// ChunkSize is the most subscriptions that one River job expands, in one
	// transaction, and holds in memory, and the most that Ask asks. Default: 500.
	ChunkSize int

	// Deactivation says when a failing subscription is deactivated. A subscription
	// can have rules of its own, which go before.
	Deactivation DeactivationRules

	// Dialects are the wire formats that subscriptions may name.
	// Default: dialect.BuiltIn().
	Dialects *dialect.Registry

	// Egress says where requests may go, and through which proxy: those of
	// deliveries and pings, and those for OAuth2 tokens. The engine's Subscriptions
	// checks URLs by it when they are written. Default: the policy of a nil
	// egress.Config, which allows https to public addresses.
	Egress *egress.Policy

	// ExternalizeTimeout bounds one call of an externalizer. At least 1 ms. Default: 10 s.
	ExternalizeTimeout time.Duration

	// ExternalizeTries is how often an externalizer or a dialect may fail for
	// an intent before the decision is failed. Default: 8.
	ExternalizeTries int

	// Externalizers load what is sent. Default: the intent's data is sent.
	Externalizers *Externalizers

	// Filters bound what the filters of subscriptions may take, when they are
	// written by Engine.Subscriptions and when they are evaluated. Default: the
	// defaults of filter.Opts.
	Filters filter.Opts

	// History says what is kept of what has ended, and for how long.
	History HistoryRules

	// HookTimeout bounds one call of a hook. At least 1 ms. Default: 10 s.
	HookTimeout time.Duration

	// Hooks are called when something happens that a person should know.
	Hooks Hooks

	// ID names this engine in the log, heartbeats and attempts. It should be unique
	// among running engines: two that have the same are told apart in what they
	// do, but not in what is shown, and a warning is logged. It may be that of an
	// engine that was killed a moment ago. At most 100 bytes. Default: host name and a UUID.
	ID string

	// Logger gets one line for each attempt (Info), and what goes wrong
	// (Warn, Error). Default: slog.Default().
	Logger *slog.Logger

	// MaintenanceInterval is the time between two rounds of maintenance: the
	// release of held deliveries, probes of circuits, lost jobs, deactivation, pruning. Default: 1 s.
	MaintenanceInterval time.Duration

	// MaxHold is how long a delivery may be held before it expires.
	// Default: 30 days.
	MaxHold time.Duration

	// MaxInFlight is the most requests that this engine has under way at once. A
	// job with many deliveries has 32 attempts under way, and beyond those it shares
	// three quarters of MaxInFlight with other such jobs. Default: 512.
	MaxInFlight int

	// MaxInFlightPerEndpoint is the most requests that this engine has under way
	// at once to the URL of a subscription that names no bound of its own. An
	// endpoint that throttles gets fewer for a while. Default: 32.
	MaxInFlightPerEndpoint int

	// MaxRequestBytes is the most bytes that the body of a request may have. A
	// message beyond it is not made: the decisions that wanted it are failed, at
	// once and with the reason, and can be made again by Engine.RetryFailed.
	// Keep it above outbox.Config.MaxDataBytes, since a dialect adds to the data.
	// From 1 to 128 MiB. Default: 16 MiB.
	MaxRequestBytes int

	// MaxWorkers is the most River jobs that each queue of this engine works at
	// once, 1 to 10,000. Default: 1000.
	MaxWorkers int

	// Permissions are those that subscriptions may name by Engine.Subscriptions: those
	// that the checkers of Access know. One that names none has "view". Default: any.
	Permissions []string

	// PollOnly works without LISTEN, for connections through a pooler that gives
	// them out by transaction, such as PgBouncer in transaction mode. The engine
	// then looks for work every 100 to 110 ms, and finds an event that much after
	// its commit at most. Such a pooler also needs a QueryExecMode of pgx that
	// names no prepared statements, such as QueryExecModeExec. Default: false.
	PollOnly bool

	// RecordTimeout is how long an engine keeps the answer to a request while the
	// database cannot be written, as during a failover. An answer that cannot be
	// recorded in that time is lost, and its request is repeated. What is kept is bounded: while it
	// waits, nothing new is sent. From 1 s to 15 min. Default: 2 min.
	RecordTimeout time.Duration

	// RedecideAfter is the wait before a decision that could not be made is
	// tried again; it grows with the age of the decision up to 5 minutes.
	// Default: 5 s.
	RedecideAfter time.Duration

	// RequireActor also requires that the actor of an intent, where it names
	// one, may see the resource. Default: only the owner is asked.
	RequireActor bool

	// ResponseBytes is how much of an answer's body is kept in the history.
	// Default: 16 KiB. -1 keeps nothing.
	ResponseBytes int

	// Schedules are retry schedules by name, beside the presets. A subscription that
	// names none has that of its dialect, where that is a dialect.Scheduled, or else
	// "standard". Each of these can be replaced here.
	Schedules map[string]Schedule

	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string

	// Sealer opens signing secrets, and seals those that Engine.Subscriptions
	// stores: a seal.Keyset, or an AEAD of Tink. seal.Clear() stores them in clear.
	// A delivery whose secret does not open waits. Required.
	Sealer seal.Sealer

	// StopTimeout is how long Stop lets requests under way come to their end
	// before it interrupts them; the context of Stop may be shorter.
	// Default: 30 s.
	StopTimeout time.Duration

	// SubscriptionsPerOwner is how many subscriptions one owner may have by
	// Engine.Subscriptions: MaxPerOwner there. Default: 100. -1 is no limit.
	SubscriptionsPerOwner int

	// SubscriptionsPerSite is how many subscriptions there may be at one site by
	// Engine.Subscriptions: MaxPerSite there. Default: 1000. -1 is no limit.
	SubscriptionsPerSite int

	// ThrottleWait is how long an endpoint gets nothing, retries included, after it
	// has answered 429 or 503 without a Retry-After that can be read. A schedule whose
	// waits are shorter is stretched. Default: 60 s.
	ThrottleWait time.Duration

	// Timeout bounds a request in total, the answer's body included, for
	// subscriptions that name none. At least 1 ms. Default: 20 s.
	Timeout time.Duration

	// Transport tunes the connections to endpoints: authorities and client
	// certificates for all subscriptions, timeouts, bounds. Defaults other than
	// those of egress.TransportConfig: MaxConnsPerHost and MaxIdleConnsPerHost are
	// MaxInFlight, and MaxIdleConns is MaxInFlight or 1024, whichever is more. A
	// request that waits for one of MaxConnsPerHost does so within its timeout.
	// Subscriptions with TLS settings of their own have these bounds apart.
	Transport egress.TransportConfig

	// Tree is the hierarchy of sites, also of Engine.Subscriptions and Engine.History.
	// Default: hierarchy.Paths.
	Tree hierarchy.Tree

	// Verification says how endpoints are asked to prove that they want requests.
	Verification VerificationRules
}

func (c *Config) withDefaults() (*Config, error) {
	out := Config{}
	if c != nil {
		out = *c
	}
	def(&out.AccessMaxAge, 30*time.Second)
	def(&out.AskTimeout, 5*time.Second)
	def(&out.ChunkSize, 500)
	out.Deactivation = out.Deactivation.Over(defaultRules)
	def(&out.ExternalizeTimeout, 10*time.Second)
	def(&out.ExternalizeTries, 8)
	out.History.fill()
	def(&out.HookTimeout, 10*time.Second)
	def(&out.Logger, slog.Default())
	def(&out.MaintenanceInterval, time.Second)
	def(&out.MaxHold, 30*24*time.Hour)
	def(&out.MaxInFlight, 512)
	def(&out.MaxInFlightPerEndpoint, 32)
	def(&out.MaxRequestBytes, 16<<20)
	def(&out.MaxWorkers, 1000)
	def(&out.RecordTimeout, 2*time.Minute)
	def(&out.RedecideAfter, 5*time.Second)
	def(&out.ResponseBytes, 16<<10)
	def(&out.Schema, store.DefaultSchema)
	def(&out.StopTimeout, 30*time.Second)
	def(&out.ThrottleWait, time.Minute)
	def(&out.Timeout, 20*time.Second)
	out.Verification.fill()
	if out.ID == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		out.ID = fmt.Sprintf("%.60s_%s", host, uuid.NewString())
	}
	if out.Tree == nil {
		out.Tree = hierarchy.Paths
	}
	if err := out.fillRegistries(); err != nil {
		return nil, err
	}
	return &out, out.validate()
}

func (c *Config) fillRegistries() (err error) {
	if c.Access == nil {
		if c.Access, err = access.NewRegistry(nil); err != nil {
			return fmt.Errorf("delivery: config: Access: %w", err)
		}
	}
	if c.Dialects == nil {
		if c.Dialects, err = dialect.NewRegistry(dialect.BuiltIn()...); err != nil {
			return fmt.Errorf("delivery: config: Dialects: %w", err)
		}
	}
	if c.Egress == nil {
		if c.Egress, err = egress.New(nil); err != nil {
			return fmt.Errorf("delivery: config: Egress: %w", err)
		}
	}
	if c.Externalizers == nil {
		c.Externalizers = NewExternalizers()
	}
	return nil
}

// tooShort says why a time is refused that stands for milliseconds or more: a bare number
// is one of nanoseconds.
func tooShort(d time.Duration) string { return fmt.Sprintf("is %s; must be at least 1 ms", d) }

func (c *Config) validate() error {
	refuse := func(field, reason string) error { return fmt.Errorf("delivery: config: %s: %s", field, reason) }
	switch {
	case c.AccessMaxAge < 0:
		return refuse("AccessMaxAge", "must not be negative")
	case c.AskTimeout < time.Millisecond:
		return refuse("AskTimeout", tooShort(c.AskTimeout))
	case c.ChunkSize < 1 || c.ChunkSize > 10_000:
		return refuse("ChunkSize", "must be 1 to 10,000")
	case c.ExternalizeTimeout < time.Millisecond:
		return refuse("ExternalizeTimeout", tooShort(c.ExternalizeTimeout))
	case c.ExternalizeTries < 0:
		return refuse("ExternalizeTries", "must not be negative")
	case c.History.problem() != "":
		return refuse("History", c.History.problem())
	case c.HookTimeout < time.Millisecond:
		return refuse("HookTimeout", tooShort(c.HookTimeout))
	case len(c.ID) > 100:
		return refuse("ID", "must be at most 100 bytes")
	case !isText(c.ID):
		return refuse("ID", "must be valid UTF-8 without NUL")
	case c.MaintenanceInterval < time.Millisecond:
		return refuse("MaintenanceInterval", tooShort(c.MaintenanceInterval))
	case c.MaxHold < 0:
		return refuse("MaxHold", "must not be negative")
	case c.MaxInFlight < 1:
		return refuse("MaxInFlight", "must be at least 1")
	case c.MaxInFlightPerEndpoint < 1:
		return refuse("MaxInFlightPerEndpoint", "must be at least 1")
	case c.MaxRequestBytes < 1 || c.MaxRequestBytes > maxRequestBytes:
		return refuse("MaxRequestBytes", "must be 1 to 128 MiB")
	case c.MaxWorkers < 1 || c.MaxWorkers > 10_000:
		return refuse("MaxWorkers", "must be 1 to 10,000")
	case c.RecordTimeout < time.Second || c.RecordTimeout > maxRecordTimeout:
		return refuse("RecordTimeout", "must be 1 s to 15 min")
	case c.RedecideAfter < 0:
		return refuse("RedecideAfter", "must not be negative")
	case c.ResponseBytes < -1:
		return refuse("ResponseBytes", "must be -1 or more")
	case c.StopTimeout < 0:
		return refuse("StopTimeout", "must not be negative")
	case c.ThrottleWait < 0:
		return refuse("ThrottleWait", "must not be negative")
	case c.Timeout < time.Millisecond:
		return refuse("Timeout", tooShort(c.Timeout))
	case c.Verification.problem() != "":
		return refuse("Verification", c.Verification.problem())
	}
	return c.validateParts()
}

// validateParts validates what other packages know the rules of.
func (c *Config) validateParts() error {
	if slices.Contains(c.Permissions, "") {
		return errors.New("delivery: config: Permissions: must not hold an empty name")
	}
	if err := c.Filters.Validate(); err != nil {
		return fmt.Errorf("delivery: config: Filters: %w", err)
	}
	if err := checkRules(c.Deactivation); err != nil {
		return err
	}
	if err := store.CheckSchema(c.Schema); err != nil {
		return fmt.Errorf("delivery: config: Schema: %w", err)
	}
	if err := sealed.Check(c.Sealer); err != nil {
		return fmt.Errorf("delivery: config: Sealer: %w", err)
	}
	return nil
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
