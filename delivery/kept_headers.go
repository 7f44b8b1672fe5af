package delivery

import (
	"encoding/json"
	"net/http"
	"strings"
)

// secretHeaders are never written to the history.
var secretHeaders = map[string]bool{
	"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "Set-Cookie": true, "X-Api-Key": true,
}

// keptHeaders are the headers as the history has them, a JSON object. The values
// of a subscription's own headers are its owner's to know.
func keptHeaders(h http.Header, own map[string]string) string {
	kept := append(make([]byte, 0, 512), '{')
	for name, values := range h {
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(appendJSON(kept, name), ':')
		if isSecret(http.CanonicalHeaderKey(name), own) {
			kept = append(kept, `"[redacted]"`...)
			continue
		}
		kept = appendJSON(kept, strings.Join(values, ", "))
	}
	return string(append(kept, '}'))
}

func isSecret(name string, own map[string]string) bool {
	for mine := range own {
		if http.CanonicalHeaderKey(mine) == name {
			return true
		}
	}
	return secretHeaders[name]
}

// appendJSON appends a string of JSON. Headers are written for every attempt,
// and almost all of them need no escapes.
func appendJSON(to []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(cleanText(s))
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
