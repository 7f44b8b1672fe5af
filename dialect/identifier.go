package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
)

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

var (
	_ Identifier = BodyHMAC{}
	_ Identifier = CloudEventsVerifier{}
	_ Identifier = HubVerifier{}
	_ Identifier = PyWebhooksVerifier{}
	_ Identifier = ServoVerifier{}
	_ Identifier = StandardVerifier{}
	_ Identifier = StripeVerifier{}
)

// DeliveryID implements [Identifier]: it is webhook-id, which is signed. CloudEvents in binary
// mode have the same one in ce-id.
func (StandardVerifier) DeliveryID(h http.Header, _ []byte) string {
	return firstHeader(h, HeaderWebhookID)
}

// DeliveryID implements [Identifier]: it is the id in the body, which is signed.
func (StripeVerifier) DeliveryID(_ http.Header, body []byte) string {
	var event struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &event) != nil {
		return ""
	}
	return event.ID
}

// DeliveryID implements [Identifier]: it is the value of IDHeader, which is not signed.
func (v HubVerifier) DeliveryID(h http.Header, _ []byte) string {
	if v.IDHeader != "" {
		return firstHeader(h, v.IDHeader)
	}
	if id := firstHeader(h, "X-Github-Delivery"); id != "" {
		return id
	}
	return firstHeader(h, "X-Hub-Delivery")
}

// DeliveryID implements [Identifier]: it is the value of IDHeader, which is not signed.
func (b BodyHMAC) DeliveryID(h http.Header, _ []byte) string {
	if b.IDHeader == "" {
		return ""
	}
	return firstHeader(h, b.IDHeader)
}

// DeliveryID implements [Identifier]: it is "", since PyWebhooks has none.
func (PyWebhooksVerifier) DeliveryID(http.Header, []byte) string { return "" }

// DeliveryID implements [Identifier]: it is "", since servo-webhooks has none.
func (ServoVerifier) DeliveryID(http.Header, []byte) string { return "" }

func firstHeader(h http.Header, name string) string {
	if values := headerValues(h, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
