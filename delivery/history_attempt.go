package delivery

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/store"
)

// Attempt is one HTTP request of a delivery, with what came back. Manual attempts
// are numbered from 1 over all rounds, the others from 1 in each round; an
// interrupted attempt leaves its number to the next.
type Attempt struct {
	DeliveryID uuid.UUID `json:"delivery_id,omitzero"` // none: of a ping or a challenge
	Seq        int       `json:"seq,omitempty"`        // grows with each attempt of the delivery; gaps mean nothing
	Round      int       `json:"round,omitempty"`      // of the delivery
	Manual     bool      `json:"manual"`               // asked for by Redeliver or Recover
	Number     int       `json:"number"`               // manual and other attempts apart

	Outcome Outcome `json:"outcome"`
	Error   string  `json:"error,omitempty"`  // why there was no usable answer: "class: detail"
	Reason  string  `json:"-"`                // for the operator alone: which address was blocked and why, what is wrong with the egress proxy
	Status  int     `json:"status,omitempty"` // 0: no answer

	// ReasonPhrase is what the answer's status line says beside the status, in at
	// most 200 printable characters; "" if it says nothing, and over HTTP/2, which
	// has none.
	ReasonPhrase string `json:"reason_phrase,omitempty"`

	Method            string            `json:"method,omitempty"` // of the request; "": none was built
	URL               string            `json:"url"`              // without user, password and query
	RequestHeaders    map[string]string `json:"request_headers"`
	ResponseHeaders   map[string]string `json:"response_headers"`
	ResponseBody      Body              `json:"response_body"`
	ResponseSHA256    string            `json:"response_sha256,omitempty"`    // of the body, in hex, where only that is kept
	ResponseTruncated bool              `json:"response_truncated,omitempty"` // more was answered, body or headers, than is kept

	RetryAfter time.Duration `json:"-"` // what the endpoint asked for; in JSON retry_after_ms
	Duration   time.Duration `json:"-"` // of the whole request; in JSON duration_ms

	// Repeats is how often the request was sent again within the attempt, because
	// it was certainly not processed: see egress.Policy.Client. At most 3, with
	// OAuth 2 at most 3 for each request.
	Repeats int `json:"repeats,omitempty"`

	Engine    string    `json:"engine"`
	StartedAt time.Time `json:"started_at"` // by the engine's clock
}

// MarshalJSON implements json.Marshaler. Durations are in milliseconds.
func (a Attempt) MarshalJSON() ([]byte, error) {
	type plain Attempt
	return json.Marshal(struct {
		plain

		DurationMs   float64 `json:"duration_ms"`
		RetryAfterMs int64   `json:"retry_after_ms,omitempty"`
	}{plain(a), float64(a.Duration.Microseconds()) / 1000, a.RetryAfter.Milliseconds()})
}

func newAttempt(row store.Attempt) (Attempt, error) {
	a := Attempt{
		DeliveryID:        row.DeliveryID,
		Seq:               row.Seq,
		Round:             row.Round,
		Manual:            row.Manual,
		Number:            row.Number,
		Outcome:           Outcome(row.Outcome),
		Error:             row.Error,
		Reason:            row.Reason,
		Method:            row.Method,
		Status:            row.Status,
		ReasonPhrase:      row.ReasonPhrase,
		URL:               row.URL,
		ResponseBody:      row.ResponseBody,
		ResponseSHA256:    hex.EncodeToString(row.ResponseSha256),
		ResponseTruncated: row.ResponseTruncated,
		RetryAfter:        time.Duration(row.RetryAfterMs) * time.Millisecond,
		Duration:          time.Duration(row.DurationUs) * time.Microsecond,
		Repeats:           row.Repeats,
		Engine:            row.Engine,
		StartedAt:         row.StartedAt,
	}
	if err := json.Unmarshal(row.RequestHeaders, &a.RequestHeaders); err != nil {
		return Attempt{}, fmt.Errorf("request headers: %w", err)
	}
	if err := json.Unmarshal(row.ResponseHeaders, &a.ResponseHeaders); err != nil {
		return Attempt{}, fmt.Errorf("response headers: %w", err)
	}
	return a, nil
}
