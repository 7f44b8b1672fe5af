package dialect

import "net/http"

// Identifier is a further ability of a [Verifier]: it knows the one place where its scheme
// has the sender's id of an event, by which a receiver knows again what comes twice. That
// is a place which the scheme signs, where it signs one. No other header is looked at:
// whoever has seen a request could add one and send it again.
//
// The verifiers of this package are Identifiers. The interface will not gain methods.
type Identifier interface {
	// DeliveryID returns the id in a request that Verify has passed; "" is that the
	// scheme has none, or that this request has none. It is pure and safe for concurrent use.
	DeliveryID(h http.Header, body []byte) string
}

func firstHeader(h http.Header, name string) string {
	if values := headerValues(h, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
