package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/directory"
)

const payrollSignature = "X-Payroll-Signature"

// newPayrollDialect is the wire format of a payroll system that was there
// before Standard Webhooks: a PUT of a flat document, signed in its own way.
func newPayrollDialect() (dialect.Dialect, error) {
	return dialect.NewCustom(&dialect.CustomConfig{
		Name:        "payroll",
		Method:      http.MethodPut,
		UserAgent:   "orgdirectory/1",
		ContentType: "application/vnd.payroll+json",
		Envelope:    payrollEnvelope,
		EventHeaders: map[string]func(dialect.Event) string{
			"Webhook-Id":      func(ev dialect.Event) string { return ev.ID },
			"X-Payroll-Event": func(ev dialect.Event) string { return ev.Type },
		},
		Signer: dialect.SignerFunc(payrollSign),
	})
}

func payrollEnvelope(ev dialect.Event, data []byte) (dialect.Content, error) {
	var p directory.Person
	if err := json.Unmarshal(data, &p); err != nil {
		return dialect.Content{}, err
	}
	body, err := json.Marshal(map[string]any{
		"employee": p.ID, "cost_center": p.Office, "change": ev.Type, "date": ev.OccurredAt.Format(time.DateOnly),
	})
	return dialect.Content{Body: body}, err
}

func payrollSign(in dialect.SignInput) (http.Header, error) {
	if len(in.Secrets) == 0 {
		return nil, dialect.ErrNoSecret
	}
	return http.Header{payrollSignature: {payrollMAC(in.Secrets[0], in.Body)}}, nil
}

func payrollMAC(secret dialect.Secret, body []byte) string {
	mac := hmac.New(sha256.New, secret.Key())
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// payrollVerifier is the receiving half.
type payrollVerifier struct{}

// Verify implements dialect.Verifier.
func (payrollVerifier) Verify(h http.Header, body []byte, secrets []dialect.Secret, _ time.Time) error {
	got := h.Get(payrollSignature)
	if got == "" {
		return dialect.ErrMissingHeader
	}
	for _, secret := range secrets {
		if hmac.Equal([]byte(got), []byte(payrollMAC(secret, body))) {
			return nil
		}
	}
	return dialect.ErrBadSignature
}
