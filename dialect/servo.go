package dialect

import (
	"crypto"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentTypeServo is the content type of [Servo].
const ContentTypeServo = "application/vnd.opsani.servo-webhooks+json"

// Servo returns the dialect "servo", the wire format of servo-webhooks: a POST of
// [EnvelopeServo] as [ContentTypeServo], signed by [ServoSigner]. Its schedule is "servo",
// what servo-webhooks has where no backoff is configured.
func Servo() *Custom {
	return builtIn(&CustomConfig{
		Envelope: EnvelopeServo,
		Name:     "servo",
		Schedule: "servo",
		Signer:   ServoSigner{},
	})
}

// EnvelopeServo is the body of servo-webhooks:
//
//	{"event": "after:measure", "created_at": "2026-05-01T12:00:00.123456", "results": DATA}
//
// An event type before.NAME or after.NAME is written with a colon, any other as it
// is. The time is that of the event in UTC, without a zone and with microseconds
// where there are any, as Python writes it. DATA is the data byte for byte: a
// receiver expects null, which no data is, or
// [{"connector": NAME, "value": ANY}, ...]. Data must be JSON in UTF-8.
func EnvelopeServo(ev Event, data []byte) (Content, error) {
	data, err := checkData(data)
	if err != nil {
		return Content{}, err
	}
	at, err := timestamp(ev.OccurredAt)
	if err != nil {
		return Content{}, err
	}
	name := ev.Type
	if when, what, ok := strings.Cut(name, "."); ok && (when == "before" || when == "after") {
		name = when + ":" + what
	}
	body := make([]byte, 0, len(data)+len(name)+80)
	body = append(body, `{"event": `...)
	body, err = appendString(body, name)
	if err != nil {
		return Content{}, fmt.Errorf("event type: %w", err)
	}
	body = append(body, `, "created_at": `...)
	layout := "2006-01-02T15:04:05"
	if at.Truncate(time.Microsecond).Nanosecond() != 0 {
		layout += ".000000"
	}
	body = strconv.AppendQuote(body, at.Format(layout))
	body = append(body, `, "results": `...)
	body = append(body, data...)
	return Content{Type: ContentTypeServo, Body: append(body, '}')}, nil
}

// ServoSigner signs the body: X-Servo-Signature is the hex of HMAC-SHA1, by the
// contract of [BodyHMAC].
type ServoSigner struct{}

// Sign implements [Signer].
func (ServoSigner) Sign(in SignInput) (http.Header, error) { return servoHMAC().Sign(in) }

// ServoVerifier verifies X-Servo-Signature, by the contract of [BodyHMAC].
type ServoVerifier struct{}

// Verify implements [Verifier].
func (ServoVerifier) Verify(h http.Header, body []byte, secrets []Secret, now time.Time) error {
	return servoHMAC().Verify(h, body, secrets, now)
}

func servoHMAC() BodyHMAC { return BodyHMAC{Hash: crypto.SHA1, Header: "X-Servo-Signature"} }
