package receiver

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/riverhook/riverhook/dialect"
)

// maxDeliveryID is in bytes.
const maxDeliveryID = 512

// DeliveryID finds the sender's id of a request in the places of the formats that are
// known: the headers webhook-id, svix-id, X-GitHub-Delivery and X-Hub-Delivery; of CloudEvents
// source and id together, from the headers or from a body of type application/cloudevents+json; and
// the id in the body of a request that Stripe signed. It returns "" where there is none: PyWebhooks and
// servo-webhooks have none.
func DeliveryID(h http.Header, body []byte) string {
	for _, name := range []string{dialect.HeaderWebhookID, "Svix-Id", "X-Github-Delivery", "X-Hub-Delivery"} {
		if id := h.Get(name); id != "" {
			return id
		}
	}
	if id := h.Get("Ce-Id"); id != "" {
		return h.Get("Ce-Source") + " " + id
	}
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	cloudEvent := err == nil && media == "application/cloudevents+json"
	if !cloudEvent && h.Get(dialect.HeaderStripeSignature) == "" {
		return ""
	}
	var event struct {
		ID     string `json:"id"`
		Source string `json:"source"`
	}
	if err := json.Unmarshal(body, &event); err != nil || event.ID == "" {
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
