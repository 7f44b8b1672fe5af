package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/egress"
	"github.com/riverhook/riverhook/filter"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

// Config configures an [Engine]. With nothing but a Sealer it delivers to https
// endpoints, in all dialects of package dialect, for subscriptions of operators; a
// subscription with an owner waits until a checker is registered.
type Config struct {
	// Access decides whether an owner may see a resource.
	Access AccessConfig

	// ActiveChain also tells the subscriptions at the ancestors of an intent's
	// active site. Default: only those at the active site itself.
	ActiveChain bool

	// Deactivation says when a failing subscription is deactivated. The rules of a
	// subscription's own take precedence.
	Deactivation subscription.DeactivationRules

	// Dialects are the wire formats that subscriptions may name. New reads the names and
	// checks the schedules of all of them: register each before.
	// Default: dialect.BuiltIn().
	Dialects *dialect.Registry

	// Egress says where requests may go, and through which proxy: those of
	// deliveries and pings, and those for OAuth2 tokens. The engine's Subscriptions
	// checks URLs by it when they are written. Default: the policy of a nil
	// egress.Config, which allows https to public addresses.
	Egress *egress.Policy

	// Externalize says what loads the data that is sent.
	Externalize ExternalizeConfig

	// Filters bound what the filters of subscriptions may take, when they are
	// written by Engine.Subscriptions and when they are evaluated. Default: the
	// defaults of filter.Opts.
	Filters filter.Opts

	// History says what is kept of what has ended, and for how long.
	History HistoryRules

	// Hooks are called when something happens that a person should know.
	Hooks Hooks

	// ID names this engine in the log, heartbeats and attempts. It should be unique
	// among running engines: two that have the same are told apart in what they
	// do, but not in what is shown, and a warning is logged. It may be that of an
	// engine that was killed a moment ago. At most 100 bytes. Default: host name and a UUID.
	ID string

	// Limits bound what the engine does at once, and the size of what it sends and keeps.
	Limits Limits

	// Logger gets one line for each attempt (Info), and what goes wrong
	// (Warn, Error). Default: slog.Default().
	Logger *slog.Logger

	// Maintenance says when the engine does what no job does.
	Maintenance Maintenance

	// PollOnly works without LISTEN, for connections through a pooler that gives
	// them out by transaction, such as PgBouncer in transaction mode. The engine
	// then looks for work every 100 to 110 ms, and finds an event that much after
	// its commit at most. Such a pooler also needs a QueryExecMode of pgx that
	// names no prepared statements, such as QueryExecModeExec. Default: false.
	PollOnly bool

	// Schedules are retry schedules by name, beside the presets. A subscription that
	// names none has that of its dialect, if that is a dialect.Scheduled, or else
	// "standard". Each of these can be replaced here.
	Schedules map[string]Schedule

	// Schema is the Postgres schema of Riverhook. Default: "riverhook".
	Schema string

	// Sealer opens signing secrets, and seals those that Engine.Subscriptions
	// stores: a seal.Keyset, or an AEAD of Tink. seal.Clear() stores them in clear.
	// A delivery whose secret does not open waits. Required.
	Sealer seal.Sealer

	// ThrottleWait is how long an endpoint gets nothing, retries included, after it
	// has answered 429 or 503 without a Retry-After that can be read. A schedule whose
	// waits are shorter is stretched. It is not bounded as a Retry-After is. Default: 60 s.
	ThrottleWait time.Duration

	// Timeouts bound how long the engine waits.
	Timeouts Timeouts

	// Transport tunes the connections to endpoints: authorities and client
	// certificates for all subscriptions, timeouts, bounds. Defaults other than
	// those of egress.TransportConfig: MaxConnsPerHost and MaxIdleConnsPerHost are
	// Limits.InFlight, and MaxIdleConns is Limits.InFlight or 1024, whichever is more. A
	// request that waits for one of MaxConnsPerHost does so within its timeout.
	// Subscriptions with TLS settings of their own have these bounds apart.
	Transport egress.TransportConfig

	// Tree is the hierarchy of sites, also of Engine.Subscriptions and Engine.History.
	// Default: hierarchy.Paths.
	Tree hierarchy.Tree

	// Verification says how endpoints prove that they want requests.
	Verification VerificationRules
}

func (c *Config) withDefaults() (*Config, error) {
	out := Config{}
	if c != nil {
		out = *c
	}
	out.Deactivation = out.Deactivation.Over(defaultRules)
	out.Externalize.fill()
	out.History.fill()
	out.Limits.fill()
	def(&out.Logger, slog.Default())
	out.Maintenance.fill()
	def(&out.Schema, store.DefaultSchema)
	def(&out.ThrottleWait, time.Minute)
	out.Timeouts.fill()
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
	if err = c.Access.fill(); err != nil {
		return fmt.Errorf("delivery: config: Access.Registry: %w", err)
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
	return nil
}

func (c *Config) validate() error {
	for _, group := range []struct{ name, problem string }{
		{"Access", c.Access.problem()},
		{"Externalize", c.Externalize.problem()},
		{"History", c.History.problem()},
		{"Limits", c.Limits.problem()},
		{"Maintenance", c.Maintenance.problem()},
		{"Timeouts", c.Timeouts.problem()},
		{"Verification", c.Verification.problem()},
	} {
		if group.problem != "" {
			return fmt.Errorf("delivery: config: %s.%s", group.name, group.problem)
		}
	}
	refuse := func(field, reason string) error { return fmt.Errorf("delivery: config: %s: %s", field, reason) }
	switch {
	case len(c.ID) > 100:
		return refuse("ID", "must be at most 100 bytes")
	case !isText(c.ID):
		return refuse("ID", "must be valid UTF-8 without NUL")
	case c.ThrottleWait < 0:
		return refuse("ThrottleWait", "must not be negative")
	}
	return c.validateParts()
}

// validateParts validates what other packages know the rules of.
func (c *Config) validateParts() error {
	if err := c.Filters.Validate(); err != nil {
		return fmt.Errorf("delivery: config: Filters: %w", err)
	}
	if err := checkRules(c.Deactivation); err != nil {
		return err
	}
	if bad, ok := errors.AsType[*subscription.InvalidError](c.Limits.MaxRate.Check()); ok {
		return fmt.Errorf("delivery: config: Limits.Max%s: %s", bad.Field, bad.Reason)
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
