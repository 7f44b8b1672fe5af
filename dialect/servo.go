package dialect

import (
	"crypto"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const contentTypeServo = "application/vnd.opsani.servo-webhooks+json"

// Servo returns the dialect "servo", the wire format of servo-webhooks: a POST of
// application/vnd.opsani.servo-webhooks+json, signed by [ServoSigner], whose body is
//
//	{"event": "after:measure", "created_at": "2026-05-01T12:00:00.123456", "results": DATA}
//
// An event type before.NAME or after.NAME is written with a colon, any other as it
// is. The time is that of the event in UTC, without a zone and with microseconds
// where there are any, as Python writes it. DATA is the data byte for byte: a
// receiver expects null, which no data is, or
// [{"connector": NAME, "value": ANY}, ...]. Data must be JSON in UTF-8.
//
// Its schedule is "servo", what servo-webhooks has where no backoff is configured.
func Servo() Dialect {
	return builtIn(&CustomConfig{
		Envelope: envelopeServo,
		Name:     "servo",
		Schedule: "servo",
		Signer:   ServoSigner(),
	})
}

// envelopeServo is an [Envelope], the body of servo-webhooks.
func envelopeServo(ev Event, data []byte) (Content, error) {
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
	return Content{Type: contentTypeServo, Body: append(body, '}')}, nil
}

// ServoSigner returns the signer that signs the body: X-Servo-Signature is the hex of
// HMAC-SHA1, by the contract of [BodyHMAC].
func ServoSigner() Signer { return servoHMAC }

// ServoVerifier returns the verifier of X-Servo-Signature, by the contract of [BodyHMAC].
// As an [Identifier] it says that the format has no ids.
func ServoVerifier() Verifier { return servoHMAC }

var servoHMAC = bodyHMAC{Hash: crypto.SHA1, Header: "X-Servo-Signature"}
