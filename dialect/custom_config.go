package dialect

import (
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/riverhook/riverhook/internal/text"
)

// DefaultUserAgent is the User-Agent of dialects that do not have their own.
const DefaultUserAgent = "Riverhook/1 (+https://github.com/riverhook/riverhook)"

// CustomConfig describes a dialect that [NewCustom] builds. What is left out is that of Base.
type CustomConfig struct {
	// Base is what to start from, such as Hub(): a dialect of this package, or one that
	// NewCustom has made. Default: Standard(), whose parts are the defaults below.
	Base Dialect

	// ContentType replaces the content type of the envelope. Default: the
	// envelope's, which is "application/json" for EnvelopeStandard.
	ContentType string

	// Envelope makes the body. Default: [EnvelopeStandard].
	Envelope Envelope

	// EventHeaders are headers whose value comes from the event, once for each
	// message. "" leaves the header out. The functions are pure. A map that is not
	// nil takes the place of Base's. Default: none.
	EventHeaders map[string]func(Event) string

	// Headers are the same on each request. A map that is not nil takes the place
	// of Base's. Default: none.
	Headers map[string]string

	// Method is POST, PUT or PATCH. Default: POST.
	Method string

	// Name is what subscriptions refer to: 1 to 64 of [a-z0-9_-]. Required.
	Name string

	// Schedule is the name of the retry schedule of subscriptions that name none: a preset, or
	// one of the Schedules of the engine's Config. Default: the engine's.
	Schedule string

	// Signer authenticates requests; [Signers] are several. [Unsigned] is explicit.
	// Default: [StandardSigner].
	Signer Signer

	// UserAgent is the value of User-Agent. Default: [DefaultUserAgent].
	UserAgent string
}

func (c *CustomConfig) withDefaults() CustomConfig {
	var out CustomConfig
	if c != nil {
		out = *c
	}
	if base, ok := out.Base.(*custom); ok && base != nil {
		out = basedOn(out, base.cfg)
	}
	out.Headers, out.EventHeaders = maps.Clone(out.Headers), maps.Clone(out.EventHeaders)
	if out.Envelope == nil {
		out.Envelope = EnvelopeStandard
	}
	if out.Method == "" {
		out.Method = http.MethodPost
	}
	if out.Signer == nil {
		out.Signer = StandardSigner()
	}
	if out.UserAgent == "" {
		out.UserAgent = DefaultUserAgent
	}
	return out
}

func basedOn(c, base CustomConfig) CustomConfig {
	c.Base = nil
	if c.ContentType == "" {
		c.ContentType = base.ContentType
	}
	if c.Envelope == nil {
		c.Envelope = base.Envelope
	}
	if c.EventHeaders == nil {
		c.EventHeaders = base.EventHeaders
	}
	if c.Headers == nil {
		c.Headers = base.Headers
	}
	if c.Method == "" {
		c.Method = base.Method
	}
	if c.Schedule == "" {
		c.Schedule = base.Schedule
	}
	if c.Signer == nil {
		c.Signer = base.Signer
	}
	if c.UserAgent == "" {
		c.UserAgent = base.UserAgent
	}
	return c
}

func (c *CustomConfig) validate() error {
	if c.Base != nil { // basedOn takes out what it knows
		return errors.New("CustomConfig.Base: must be a dialect of this package, or one that NewCustom has made")
	}
	if err := checkHeader("Content-Type", c.ContentType); err != nil {
		return fmt.Errorf("CustomConfig.ContentType: %w", err)
	}
	seen := map[string]bool{}
	for name, from := range c.EventHeaders {
		if err := checkOwnHeader(name, "", seen); err != nil {
			return fmt.Errorf("CustomConfig.EventHeaders: %w", err)
		}
		if from == nil {
			return fmt.Errorf("CustomConfig.EventHeaders: header %s: the function is nil", name)
		}
	}
	for name, value := range c.Headers {
		if err := checkOwnHeader(name, value, seen); err != nil {
			return fmt.Errorf("CustomConfig.Headers: %w", err)
		}
	}
	switch c.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return fmt.Errorf("CustomConfig.Method: %q, must be POST, PUT or PATCH", c.Method)
	}
	if err := text.CheckName(c.Name); err != nil {
		return fmt.Errorf("CustomConfig.Name: %w", err)
	}
	if c.Schedule != "" {
		if err := text.CheckName(c.Schedule); err != nil {
			return fmt.Errorf("CustomConfig.Schedule: %w", err)
		}
	}
	if isNil(c.Signer) {
		return errors.New("CustomConfig.Signer: a nil pointer or function")
	}
	if err := checkHeader("User-Agent", c.UserAgent); err != nil {
		return fmt.Errorf("CustomConfig.UserAgent: %w", err)
	}
	return nil
}

// Two values for one header would make the request depend on the order of a map.
func checkOwnHeader(name, value string, seen map[string]bool) error {
	if err := checkHeader(name, value); err != nil {
		return err
	}
	key := http.CanonicalHeaderKey(name)
	switch {
	case transportHeader(key):
		return fmt.Errorf("header %s belongs to the transport", name)
	case key == "Content-Type" || key == "User-Agent":
		return fmt.Errorf("header %s has a field of its own", name)
	case seen[key]:
		return fmt.Errorf("header %s is there twice", name)
	}
	seen[key] = true
	return nil
}
