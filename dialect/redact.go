package dialect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const redacted = "[redacted]"

// Destinations and requests carry a subscription's own headers, any of which may
// be a credential. Printed, logged and encoded they show the names; of those that
// dialects set themselves also the values, and of URLs what is no credential.
// The handlers of log/slog print by Format, or encode by MarshalJSON.

type (
	plainDestination Destination
	plainRequest     Request
)

func (d Destination) redacted() plainDestination {
	headers := make(map[string]string, len(d.Headers))
	for name := range d.Headers {
		headers[name] = redacted
	}
	d.Headers, d.URL = headers, redactURL(d.URL)
	return plainDestination(d)
}

func (r Request) redacted() plainRequest {
	header := make(http.Header, len(r.Header))
	for name, values := range r.Header {
		header[name] = []string{redacted}
		if key := http.CanonicalHeaderKey(name); key == "Content-Type" || key == "User-Agent" || strings.HasPrefix(key, "Webhook-") {
			header[name] = values
		}
	}
	r.Header, r.URL = header, redactURL(r.URL)
	return plainRequest(r)
}

// Format implements [fmt.Formatter], without credentials.
func (d Destination) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), d.redacted())
}

// MarshalJSON implements [json.Marshaler], without credentials.
func (d Destination) MarshalJSON() ([]byte, error) {
	return json.Marshal(d.redacted())
}

// Format implements [fmt.Formatter], without credentials.
func (r Request) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), r.redacted())
}

// MarshalJSON implements [json.Marshaler], without credentials.
func (r Request) MarshalJSON() ([]byte, error) {
	return json.Marshal(r.redacted())
}

func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
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
