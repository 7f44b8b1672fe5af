package receiver

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxDeliveryID is in bytes.
const maxDeliveryID = 512

// DeliveryID finds the sender's id of a request whose format is not known, where nothing is
// signed or by a verifier of your own that is no [dialect.Identifier]. It looks in the places
// of all known formats, and the first that is there counts: the headers webhook-id, svix-id,
// X-GitHub-Delivery and X-Hub-Delivery; of CloudEvents source and id together, from the
// headers or from a body of type application/cloudevents+json; and the id in the body of a
// request that Stripe signed. It returns "" where there is none. Who can add a header can make
// another id: where the format is known, have its one place looked at.
func DeliveryID(h http.Header, body []byte) string {
	for _, name := range []string{"Webhook-Id", "Svix-Id", "X-Github-Delivery", "X-Hub-Delivery"} {
		if id := h.Get(name); id != "" {
			return id
		}
	}
	if id := h.Get("Ce-Id"); id != "" {
		return h.Get("Ce-Source") + " " + id
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	cloudEvent := err == nil && media == "application/cloudevents+json"
	if !cloudEvent && h.Get("Stripe-Signature") == "" {
		return ""
	}
	var event struct {
		ID     string `json:"id"`
		Source string `json:"source"`
	}
	if err := json.Unmarshal(withoutMark(body), &event); err != nil || event.ID == "" {
		return ""
	}
	if cloudEvent {
		return event.Source + " " + event.ID
	}
	return event.ID
}

func checkDeliveryID(id string) error {
	if len(id) > maxDeliveryID || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return errors.New("the delivery id is too long, or no text")
	}
	return nil
}
