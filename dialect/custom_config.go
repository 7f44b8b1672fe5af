package dialect

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
)

// DefaultUserAgent is the User-Agent of dialects that do not have their own.
const DefaultUserAgent = "Riverhook/1 (+https://github.com/riverhook/riverhook)"

// CustomConfig describes a [Custom] dialect.
type CustomConfig struct {
	// ContentType replaces the content type of the envelope. Default: the
	// envelope's, which is "application/json" for the built-in ones.
	ContentType string

	// Envelope makes the body. Default: [EnvelopeStandard].
	Envelope Envelope

	// EventHeaders are headers whose value comes from the event, once for each
	// message. "" leaves the header out. The functions are pure. Default: none.
	EventHeaders map[string]func(Event) string

	// Headers are the same on each request. Default: none.
	Headers map[string]string

	// Method is POST, PUT or PATCH. Default: POST.
	Method string

	// Name is what subscriptions refer to: 1 to 64 of [a-z0-9_-]. Required.
	Name string

	// Signer authenticates requests. [Unsigned] is explicit. Default: [StandardSigner].
	Signer Signer

	// UserAgent is the value of User-Agent. Default: [DefaultUserAgent].
	UserAgent string
}

func (c *CustomConfig) withDefaults() CustomConfig {
	var out CustomConfig
	if c != nil {
		out = *c
	}
	out.Headers, out.EventHeaders = maps.Clone(out.Headers), maps.Clone(out.EventHeaders)
	if out.Envelope == nil {
		out.Envelope = EnvelopeStandard
	}
	if out.Method == "" {
		out.Method = http.MethodPost
	}
	if out.Signer == nil {
		out.Signer = StandardSigner{}
	}
	if out.UserAgent == "" {
		out.UserAgent = DefaultUserAgent
	}
	return out
}

func (c *CustomConfig) validate() error {
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
	if err := CheckName(c.Name); err != nil {
		return fmt.Errorf("CustomConfig.Name: %w", err)
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
