package dialecttest

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/riverhook/riverhook/dialect"
)

// RequireRequest fails the test at once unless got is want: method, URL, body
// byte for byte, and each header with its values, no more and no fewer. Names
// of headers are compared without regard to case. It reports every difference.
func RequireRequest(tb testing.TB, want, got dialect.Request) {
	tb.Helper()
	if diff := differences(want, got); len(diff) > 0 {
		tb.Fatalf("dialecttest: the request is not as expected:\n%s", strings.Join(diff, "\n"))
	}
}

func differences(want, got dialect.Request) []string {
	var diff []string
	differ := func(what string, want, got any) {
		diff = append(diff, fmt.Sprintf("%s:\n\twant %q\n\tgot  %q", what, want, got))
	}
	if want.Method != got.Method {
		differ("method", want.Method, got.Method)
	}
	if want.URL != got.URL {
		differ("URL", want.URL, got.URL)
	}
	wantHeader, gotHeader := canonical(want.Header), canonical(got.Header)
	names := maps.Clone(wantHeader)
	maps.Copy(names, gotHeader)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Equal(wantHeader[name], gotHeader[name]) {
			differ("header "+name, wantHeader[name], gotHeader[name])
		}
	}
	if !bytes.Equal(want.Body, got.Body) {
		differ("body", want.Body, got.Body)
	}
	return diff
}

func canonical(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		key := http.CanonicalHeaderKey(name)
		out[key] = append(out[key], values...)
	}
	return out
}
