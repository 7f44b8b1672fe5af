package endpointauth

import (
	"net/url"
	"strings"
)

// Origin is scheme, host and port of a URL (RFC 6454, section 5), written so that two
// URLs with the same have the same text. A port that is not named is that of the
// scheme. It is "" where the text is no URL.
func Origin(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	case u.Scheme == "http":
		port = "80"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
