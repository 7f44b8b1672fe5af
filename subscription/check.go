package subscription

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	defaultDialect    = "standard"
	defaultPermission = "view"

	maxChannels    = 100
	maxDescription = 4096
	maxEvents      = 100
	maxFilter      = 2048
	maxMetadata    = 50
	maxMapBytes    = 8 << 10
	maxName        = 256
	maxNamed       = 128 // names of dialects and schedules
	maxURL         = 2048
)

// prepare checks a specification and fills in its defaults.
func (c Config) prepare(spec Spec) (*newSubscription, error) {
	if err := checkOwner(spec); err != nil {
		return nil, err
	}
	u := Update{
		Channels:     &spec.Channels,
		Deactivation: spec.Deactivation,
		Description:  &spec.Description,
		Dialect:      &spec.Dialect,
		Events:       &spec.Events,
		FailClosed:   &spec.FailClosed,
		Filter:       &spec.Filter,
		Headers:      &spec.Headers,
		MaxInFlight:  &spec.MaxInFlight,
		Metadata:     &spec.Metadata,
		Name:         &spec.Name,
		Permission:   &spec.Permission,
		Rate:         &spec.Rate,
		Schedule:     &spec.Schedule,
		Site:         &spec.Site,
		Timeout:      &spec.Timeout,
		URL:          &spec.URL,
		Verification: &spec.Verification,
	}
	given := spec.given()
	u.Credentials = given.Credentials
	u.SecretHeaders = given.SecretHeaders
	u.TLS = given.TLS
	if err := c.checkUpdate(&u); err != nil {
		return nil, err
	}
	n := &newSubscription{sub: Subscription{
		Owner:    spec.Owner,
		Operator: spec.Operator,
		State:    StateActive,
	}}
	if spec.Paused {
		n.sub.State = StatePaused
	}
	u.apply(&n.sub)
	if err := c.checkPermission(&n.sub); err != nil {
		return nil, err
	}
	c.settleNew(&n.sub)
	n.given = Update{
		Credentials:   u.Credentials,
		SecretHeaders: u.SecretHeaders,
		TLS:           u.TLS,
	}
	err := u.checkCarried(&n.sub, n.sub.URL)
	if err != nil {
		return nil, err
	}
	if n.secret, err = c.secretOrNew(n.sub.Dialect, spec.Secret, spec.SecretKind); err != nil {
		return nil, err
	}
	n.sub.ID, err = uuid.NewV7()
	return n, err
}

// apply sets the fields that are given, an empty one to its default.
func (u Update) apply(s *Subscription) {
	set(&s.Description, u.Description)
	set(&s.Dialect, u.Dialect)
	set(&s.FailClosed, u.FailClosed)
	set(&s.Filter, u.Filter)
	set(&s.MaxInFlight, u.MaxInFlight)
	set(&s.Name, u.Name)
	set(&s.Permission, u.Permission)
	set(&s.Schedule, u.Schedule)
	set(&s.Site, u.Site)
	set(&s.Timeout, u.Timeout)
	set(&s.URL, u.URL)
	set(&s.Verification, u.Verification)
	if u.Channels != nil {
		s.Channels = slices.Clone(*u.Channels)
	}
	if u.Credentials != nil || u.SecretHeaders != nil || u.TLS != nil {
		s.CredentialsVersion++
	}
	if u.Credentials != nil {
		s.Credentials = u.Credentials.Kind()
	}
	if u.Deactivation != nil {
		s.Deactivation = new(*u.Deactivation)
	}
	if u.TLS != nil {
		s.OwnRootCAs, s.ClientCertificate = u.TLS.RootCAs != "", u.TLS.Certificate != ""
	}
	if u.Events != nil {
		s.Events = slices.Clone(*u.Events)
	}
	if u.Headers != nil {
		s.Headers = maps.Clone(*u.Headers)
	}
	if u.SecretHeaders != nil {
		s.SecretHeaders, s.secretHeaderBytes = redactValues(*u.SecretHeaders), headerBytes(*u.SecretHeaders)
	}
	if u.Rate != nil {
		s.Rate = u.Rate.filled()
	}
	if u.Metadata != nil {
		s.Metadata = maps.Clone(*u.Metadata)
	}
	s.Site = sitetree.OrRoot(s.Site)
	if s.Dialect == "" {
		s.Dialect = defaultDialect
	}
	if s.Permission == "" && !s.Operator {
		s.Permission = defaultPermission
	}
}

func set[T any](field, given *T) {
	if given != nil {
		*field = *given
	}
}

func checkOwner(spec Spec) error {
	invalid := func(reason string) error { return &InvalidError{Field: "Owner", Reason: reason} }
	switch {
	case spec.Operator && spec.Owner != "":
		return invalid("must be empty: Operator is set")
	case !spec.Operator && spec.Owner == "":
		return invalid("is required, unless Operator is set")
	case strings.ContainsFunc(spec.Owner, unicode.IsSpace):
		return invalid("must not hold white space")
	}
	if err := checkLine(spec.Owner, text.MaxID); err != nil {
		return invalid(err.Error())
	}
	return nil
}

// checkPermission refuses a permission that no checker of the host knows.
func (c Config) checkPermission(sub *Subscription) error {
	var reason string
	switch {
	case sub.Operator && sub.Permission != "":
		reason = "must be empty: with Operator nobody is asked"
	case !sub.Operator && len(c.Permissions) > 0 && !slices.Contains(c.Permissions, sub.Permission):
		reason = fmt.Sprintf("%s is not known; known are %s", text.Quote(sub.Permission), strings.Join(c.Permissions, ", "))
	default:
		return nil
	}
	return &InvalidError{Field: "Permission", Reason: reason}
}

// checkUpdate checks the fields that are given, and brings URLs into the form in
// which they are stored.
func (c Config) checkUpdate(u *Update) error {
	var err error
	if *u, err = u.inASCII(); err != nil {
		return err
	}
	return firstOf(
		field("Channels", u.Channels, checkChannels),
		func() error { return c.checkCredentials(u.Credentials) },
		func() error { return checkDeactivation(u.Deactivation) },
		field("Description", u.Description, checkDescription),
		field("Dialect", u.Dialect, func(s string) error { return checkNamed(s, c.Dialects) }),
		field("Events", u.Events, checkEvents),
		field("Filter", u.Filter, c.checkFilter),
		field("Headers", u.Headers, checkHeaders),
		field("MaxInFlight", u.MaxInFlight, c.checkMaxInFlight),
		field("Metadata", u.Metadata, checkMetadata),
		field("Name", u.Name, func(s string) error { return checkLine(s, maxName) }),
		field("Permission", u.Permission, func(s string) error { return checkLine(s, text.MaxID) }),
		func() error { return c.checkRate(u.Rate) },
		field("Schedule", u.Schedule, c.checkSchedule),
		field("SecretHeaders", u.SecretHeaders, checkSecretHeaders),
		field("Site", u.Site, c.checkSite),
		func() error { return checkEndpointTLS(u.TLS) },
		field("Timeout", u.Timeout, c.checkTimeout),
		field("URL", u.URL, c.checkURL),
		field("Verification", u.Verification, c.checkVerification),
	)
}

// field checks a field if it is given.
func field[T any](name string, value *T, check func(T) error) func() error {
	return func() error {
		if value == nil {
			return nil
		}
		if err := check(*value); err != nil {
			return &InvalidError{
				Field:  name,
				Reason: err.Error(),
				err:    err,
			}
		}
		return nil
	}
}

func firstOf(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkLine is checkText for what people are shown among other things: it must
// not move the cursor of a terminal, start a line of a log, or change the
// direction of what stands around it.
func checkLine(s string, most int) error {
	if err := text.Check(s, most); err != nil {
		return err
	}
	if i := strings.IndexFunc(s, moves); i >= 0 {
		r, _ := utf8.DecodeRuneInString(s[i:])
		return fmt.Errorf("must not hold the control character %U", r)
	}
	return nil
}

func checkDescription(s string) error { return checkLines(s, maxDescription) }

// checkLines is checkLine for a text that may have several.
func checkLines(s string, most int) error {
	if err := text.Check(s, most); err != nil {
		return err
	}
	return checkLine(strings.NewReplacer("\r\n", "", "\n", "", "\t", "").Replace(s), most)
}

// moves says whether a character is a control character, ends a line or is one
// of Unicode's bidirectional controls (UAX #9, section 2), the implicit marks
// included: two names that look alike must be alike.
func moves(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

func checkNamed(s string, known []string) error {
	if err := text.Check(s, maxNamed); err != nil {
		return err
	}
	if s != "" && known != nil && !slices.Contains(known, s) {
		return fmt.Errorf("%s is not known; known are %s", text.Quote(s), strings.Join(known, ", "))
	}
	return nil
}

func (c Config) checkSchedule(s string) error {
	err := checkNamed(s, c.Schedules)
	if err != nil && len(s) <= maxNamed && c.KnowsSchedule != nil && c.KnowsSchedule(s) {
		return nil
	}
	return err
}

func checkChannels(channels []string) error {
	return checkList(channels, maxChannels, func(s string) error {
		if s == "" {
			return errors.New("is empty")
		}
		return checkLine(s, text.MaxID)
	})
}

func checkEvents(events []string) error {
	if len(events) == 0 {
		return errors.New(`must not be empty; "**" is every event type`)
	}
	return checkList(events, maxEvents, event.CheckPattern)
}

func checkList(list []string, most int, check func(string) error) error {
	if len(list) > most {
		return fmt.Errorf("has %d entries; at most %d are allowed", len(list), most)
	}
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if err := check(s); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		if seen[s] {
			return fmt.Errorf("entry %d: %s is there twice", i+1, text.Quote(s))
		}
		seen[s] = true
	}
	return nil
}

func (c Config) checkFilter(expr string) error {
	switch {
	case expr == "":
		return nil
	case c.CheckFilter == nil:
		return errors.New("must be empty: Config.CheckFilter is not set here; filter.Check is one")
	}
	if err := checkLines(expr, maxFilter); err != nil {
		return err
	}
	return c.CheckFilter(expr)
}

func (c Config) checkMaxInFlight(n int) error {
	if n < 0 || n > c.MaxInFlight {
		return fmt.Errorf("is %d; must be 1 to %d, or 0 for the default", n, c.MaxInFlight)
	}
	return nil
}

func checkMetadata(m map[string]string) error {
	if len(m) > maxMetadata {
		return fmt.Errorf("has %d keys; at most %d are allowed", len(m), maxMetadata)
	}
	for k, v := range m {
		if k == "" {
			return errors.New("a key is empty")
		}
		if err := text.Check(k, maxMapBytes); err != nil {
			return fmt.Errorf("a key: %w", err)
		}
		if err := text.Check(v, maxMapBytes); err != nil {
			return fmt.Errorf("key %s: %w", text.Quote(k), err)
		}
	}
	if encoded, _ := json.Marshal(m); len(encoded) > maxMapBytes { //nolint:errchkjson // texts always encode
		return fmt.Errorf("has %d bytes as JSON; at most %d are allowed", len(encoded), maxMapBytes)
	}
	return nil
}

func (c Config) checkTimeout(d time.Duration) error {
	switch {
	case d == 0:
		return nil
	case d < minTimeout || d > c.MaxTimeout:
		return fmt.Errorf("is %v; must be %v to %v, or 0 for the default", d, minTimeout, c.MaxTimeout)
	case d%time.Millisecond != 0:
		return fmt.Errorf("is %v; must be whole milliseconds", d)
	}
	return nil
}

func (c Config) checkURL(s string) error {
	if s == "" {
		return errors.New("is required")
	}
	if err := text.Check(s, maxURL); err != nil {
		return err
	}
	return c.CheckURL(s)
}
