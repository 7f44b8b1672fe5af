package delivery

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// What the history keeps of the headers of one request or answer at most.
const (
	maxKeptHeaders     = 100
	maxKeptHeaderBytes = 16 << 10 // of names and values
)

// headerKeeper writes headers as the history has them. It is the names, in their
// canonical form, of those whose values are never written.
type headerKeeper map[string]bool

func newHeaderKeeper(named []string) headerKeeper {
	k := headerKeeper{
		"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true, "X-Api-Key": true,
	}
	for _, name := range named {
		k[http.CanonicalHeaderKey(name)] = true
	}
	return k
}

// keep is headers as the history has them, a JSON object. The values of a
// subscription's own headers are its owner's to know, also where a receiver
// returns them. Of too many headers, those that come first in the order of their
// names and fit are kept, and complete is false.
func (k headerKeeper) keep(h http.Header, own map[string]string) (kept string, complete bool) {
	if fits(h) {
		return k.write(maps.All(h), own), true
	}
	left, names := maxKeptHeaderBytes, []string{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if size := headerSize(name, h[name]); size <= left && len(names) < maxKeptHeaders {
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
	if len(h) > maxKeptHeaders {
		return false
	}
	size := 0
	for name, values := range h {
		size += headerSize(name, values)
	}
	return size <= maxKeptHeaderBytes
}

func headerSize(name string, values []string) int {
	size := len(name)
	for _, value := range values {
		size += len(value) + len(", ")
	}
	return size
}

func (k headerKeeper) write(headers func(yield func(string, []string) bool), own map[string]string) string {
	kept := append(make([]byte, 0, 512), '{')
	for name, values := range headers {
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(appendJSON(kept, name), ':')
		if k.isSecret(http.CanonicalHeaderKey(name), own) {
			kept = append(kept, `"[redacted]"`...)
			continue
		}
		kept = appendJSON(kept, strings.Join(values, ", "))
	}
	return string(append(kept, '}'))
}

func (k headerKeeper) isSecret(name string, own map[string]string) bool {
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
