package dialect_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/dialect/dialecttest"
)

var standardHeaders = []string{"webhook-id", "webhook-timestamp", "webhook-signature"}

func TestStandardKeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect: dialect.Standard(), SignedHeaders: standardHeaders,
		Tolerance: dialect.DefaultTolerance, Verifier: dialect.StandardVerifier{},
	})
}

func TestStandardKeepsTheContractWithAnotherTolerance(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect: dialect.Standard(), SignedHeaders: standardHeaders,
		Tolerance: time.Minute, Verifier: dialect.StandardVerifier{Tolerance: time.Minute},
	})
}

func TestPlainKeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{Dialect: dialect.Plain()})
}

// bodySigner is a signature in the style of GitHub: one header, over the body alone.
type bodySigner struct{}

func (bodySigner) Sign(in dialect.SignInput) (http.Header, error) {
	if len(in.Secrets) == 0 || in.Secrets[0].IsZero() {
		return nil, dialect.ErrNoSecret
	}
	return http.Header{"X-Signature": {bodyMAC(in.Secrets[0], in.Body)}}, nil
}

func (bodySigner) Verify(h http.Header, body []byte, secrets []dialect.Secret, _ time.Time) error {
	var got string
	for name, values := range h {
		if http.CanonicalHeaderKey(name) == "X-Signature" {
			got = values[0]
		}
	}
	if got == "" {
		return fmt.Errorf("%w: X-Signature", dialect.ErrMissingHeader)
	}
	for _, secret := range secrets {
		if !secret.IsZero() && hmac.Equal([]byte(bodyMAC(secret, body)), []byte(got)) {
			return nil
		}
	}
	return dialect.ErrBadSignature
}

func bodyMAC(secret dialect.Secret, body []byte) string {
	mac := hmac.New(sha256.New, secret.Key())
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestACustomDialectOfAllPartsKeepsTheContract(t *testing.T) {
	t.Parallel()
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		ContentType: "application/vnd.example+json", Envelope: dialect.EnvelopeThin,
		EventHeaders: map[string]func(dialect.Event) string{"X-Event": func(ev dialect.Event) string { return ev.Type }},
		Headers:      map[string]string{"X-Source": "directory"}, Method: http.MethodPut,
		Name: "hub_like", Signer: bodySigner{}, UserAgent: "directory/2",
	})
	require.NoError(t, err)
	dialecttest.Run(t, dialecttest.Case{
		Dialect: d, SignedHeaders: []string{"X-Signature"}, SingleSignature: true, Verifier: bodySigner{},
	})
}
