package dialect

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of Standard Webhooks 1.0.0.
const (
	headerWebhookID        = "Webhook-Id"
	headerWebhookTimestamp = "Webhook-Timestamp"
	headerWebhookSignature = "Webhook-Signature"
)

// What stands in front of a signature, by a shared secret and by a private key.
const (
	versionSymmetric  = "v1"
	versionAsymmetric = "v1a"
)

// defaultTolerance is how far the timestamp of a request may be from the
// receiver's clock, before or after (Standard Webhooks 1.0.0).
const defaultTolerance = 5 * time.Minute

// Standard returns the default dialect, "standard": a POST of EnvelopeStandard
// as application/json, signed by [StandardSigner]. [StandardVerifier] is its
// receiving half, and so is any library of Standard Webhooks.
func Standard() Dialect {
	return builtIn(&CustomConfig{Name: "standard"})
}

// StandardSigner returns the signer of Standard Webhooks 1.0.0: webhook-id,
// webhook-timestamp (Unix seconds of the attempt), and in webhook-signature,
// separated by spaces, for each secret in their order, "v1," and the base64 of
// HMAC-SHA256, or for an Ed25519 secret "v1a," and that of its signature, over
//
//	id + "." + timestamp + "." + body
//
// It fails with [ErrNoSecret] without a secret or with one that is the zero value,
// and refuses an id that is empty or has a character outside of [A-Za-z0-9_-] (the
// specification forbids "."), or a time before 1970.
//
// As a [SecretChecker] it refuses a text that is not base64 of 24 to 64 bytes, for the
// receiver's library would not take it. Tests of receivers may use it to make requests.
func StandardSigner() Signer { return standardSigner{} }

type standardSigner struct{}

var _ SecretChecker = standardSigner{}

// Sign implements [Signer].
func (standardSigner) Sign(in SignInput) (http.Header, error) {
	if !validID(in.ID) {
		return nil, fmt.Errorf("id %q: must be 1 or more of A-Z, a-z, 0-9, _ and -", in.ID)
	}
	if in.At.Unix() <= 0 {
		return nil, errors.New("the time of the attempt is not set")
	}
	if len(in.Secrets) == 0 {
		return nil, ErrNoSecret
	}
	timestamp := strconv.FormatInt(in.At.Unix(), 10)
	content := newSignedContent(in.ID, timestamp, in.Body)
	signatures := make([]string, len(in.Secrets))
	for i, secret := range in.Secrets {
		if secret.IsZero() {
			return nil, ErrNoSecret
		}
		signatures[i] = content.signature(secret)
	}
	return http.Header{
		headerWebhookID:        {in.ID},
		headerWebhookSignature: {strings.Join(signatures, " ")},
		headerWebhookTimestamp: {timestamp},
	}, nil
}

// CheckSecret implements [SecretChecker].
func (standardSigner) CheckSecret(secret Secret) error {
	switch {
	case secret.IsZero():
		return ErrNoSecret
	case !secret.IsText():
		return nil
	}
	text := secret.Reveal()
	switch _, err := ParseSecret(text); {
	case err == nil: // it was made of a text that has the form
		return nil
	case strings.HasPrefix(text, "whsec_"), strings.HasPrefix(text, "whsk_"), strings.TrimSpace(text) != text:
		return err
	default:
		return fmt.Errorf("%w, or be base64 of 24 to 64 bytes; dialects such as \"hub\" and \"stripe\" take any text", err)
	}
}

// signedContent is what is signed, in two parts: a body can be large.
type signedContent struct {
	head string
	body []byte
}

func newSignedContent(id, timestamp string, body []byte) signedContent {
	return signedContent{head: id + "." + timestamp + ".", body: body}
}

func (c signedContent) signature(secret Secret) string {
	if !secret.PublicKey().IsZero() {
		return versionAsymmetric + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(secret.Key(), c.joined()))
	}
	return versionSymmetric + "," + c.mac(secret)
}

func (c signedContent) mac(secret Secret) string {
	mac := hmac.New(sha256.New, secret.Key())
	mac.Write([]byte(c.head))
	mac.Write(c.body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c signedContent) joined() []byte {
	return append(append(make([]byte, 0, len(c.head)+len(c.body)), c.head...), c.body...)
}

func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return id != ""
}
