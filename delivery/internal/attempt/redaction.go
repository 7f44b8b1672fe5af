package attempt

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// What is recorded of a request and its answer is redacted here: headers and URLs. How much
// of a body is kept is decided in delivery/internal/send/answer.go, what of an error in
// delivery/internal/send/classify.go, and what the owner of a subscription sees of all that in
// delivery/owner_view.go.

// The most that is recorded of the headers of one request or answer.
const (
	maxRecordedHeaders     = 100
	maxRecordedHeaderBytes = 16 << 10 // of names and values
)

// HeaderRecorder writes headers as they are recorded. It is the names, in their canonical
// form, of the headers whose values are never written.
type HeaderRecorder map[string]bool

// NewHeaderRecorder redacts the headers that commonly hold credentials, and those that are
// named.
func NewHeaderRecorder(named []string) HeaderRecorder {
	k := HeaderRecorder{
		"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true, "X-Api-Key": true,
	}
	for _, name := range named {
		k[http.CanonicalHeaderKey(name)] = true
	}
	return k
}

// Record returns headers as they are recorded, a JSON object. It redacts the headers that
// the subscription adds, which only its owner may know, also where a receiver returns
// them. Of too many headers, those that come first in the order of their names and fit
// are recorded, and complete is false.
func (k HeaderRecorder) Record(h http.Header, own map[string]string) (recorded string, complete bool) {
	if fits(h) {
		return k.write(maps.All(h), own), true
	}
	left, names := maxRecordedHeaderBytes, []string{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if size := headerSize(name, h[name]); size <= left && len(names) < maxRecordedHeaders {
			left -= size
			names = append(names, name)
		}
	}
	return k.write(func(yield func(string, []string) bool) {
		for _, name := range names {
			if !yield(name, h[name]) {
				return
			}
		}
	}, own), false
}

func fits(h http.Header) bool {
	if len(h) > maxRecordedHeaders {
		return false
	}
	size := 0
	for name, values := range h {
		size += headerSize(name, values)
	}
	return size <= maxRecordedHeaderBytes
}

func headerSize(name string, values []string) int {
	size := len(name)
	for _, value := range values {
		size += len(value) + len(", ")
	}
	return size
}

func (k HeaderRecorder) write(headers func(yield func(string, []string) bool), own map[string]string) string {
	recorded := append(make([]byte, 0, 512), '{')
	for name, values := range headers {
		if len(recorded) > 1 {
			recorded = append(recorded, ',')
		}
		recorded = append(appendJSON(recorded, name), ':')
		if k.isSecret(http.CanonicalHeaderKey(name), own) {
			recorded = append(recorded, `"[redacted]"`...)
			continue
		}
		recorded = appendJSON(recorded, strings.Join(values, ", "))
	}
	return string(append(recorded, '}'))
}

func (k HeaderRecorder) isSecret(name string, own map[string]string) bool {
	for mine := range own {
		if http.CanonicalHeaderKey(mine) == name {
			return true
		}
	}
	return k[name]
}

// appendJSON appends a string of JSON. Headers are written for every attempt,
// and almost all of them need no escapes.
func appendJSON(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(callbacks.CleanText(s))
			if err != nil { // never: it is a string of valid UTF-8
				quoted = []byte(`""`)
			}
			return append(to, quoted...)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}

// HeadersOf is recorded headers as JSON, also if none were recorded.
func HeadersOf(recorded string) string {
	if recorded == "" {
		return "{}"
	}
	return recorded
}

// PublicURL is a URL without what may be secret in it.
func PublicURL(raw string) string {
	if !strings.ContainsAny(raw, "@?#") {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.String()
}
