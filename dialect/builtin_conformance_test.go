package dialect_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/dialect/dialecttest"
)

var standardHeaders = []string{"webhook-id", "webhook-timestamp", "webhook-signature"}

func TestStandard_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:       dialect.Standard(),
		SignedHeaders: standardHeaders,
		Tolerance:     dialect.DefaultTolerance,
		Verifier:      dialect.StandardVerifier(nil),
	})
}

func TestStandard_KeepsTheContractWithAnotherTolerance(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:       dialect.Standard(),
		SignedHeaders: standardHeaders,
		Tolerance:     time.Minute,
		Verifier:      dialect.StandardVerifier(&dialect.StandardOpts{Tolerance: time.Minute}),
	})
}

func TestPlain_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{Dialect: dialect.Plain()})
}

func TestHub_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:         dialect.Hub(),
		SignedHeaders:   []string{"X-Hub-Signature-256"},
		SingleSignature: true,
		Verifier:        dialect.HubVerifier(nil),
	})
}

func TestHub_WithSHA1KeepsTheContract(t *testing.T) {
	t.Parallel()
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		Base:   dialect.Hub(),
		Name:   "websub",
		Signer: dialect.HubSigner(&dialect.HubOpts{SHA1: true}),
	})
	require.NoError(t, err)
	dialecttest.Run(t, dialecttest.Case{
		Dialect:         d,
		SignedHeaders:   []string{"X-Hub-Signature"},
		SingleSignature: true,
		Verifier:        sha1Alone{},
	})
}

// sha1Alone is a receiver that does not know X-Hub-Signature-256.
type sha1Alone struct{}

func (sha1Alone) Verify(h http.Header, body []byte, secrets []dialect.Secret, now time.Time) error {
	old := http.Header{}
	for name, values := range h {
		if !strings.EqualFold(name, "X-Hub-Signature-256") {
			old[name] = values
		}
	}
	return dialect.HubVerifier(&dialect.HubOpts{SHA1: true}).Verify(old, body, secrets, now)
}

func TestStripe_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:       dialect.Stripe(),
		SignedHeaders: []string{"Stripe-Signature"},
		Tolerance:     dialect.DefaultTolerance,
		Verifier:      dialect.StripeVerifier(nil),
	})
}

func TestPyWebhooks_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:         dialect.PyWebhooks(),
		SignedHeaders:   []string{"pywebhooks-signature"},
		SingleSignature: true,
		Verifier:        dialect.PyWebhooksVerifier(),
	})
}

func TestServo_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:         dialect.Servo(),
		SignedHeaders:   []string{"X-Servo-Signature"},
		SingleSignature: true,
		Verifier:        dialect.ServoVerifier(),
	})
}

func TestCloudEvents_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:       dialect.CloudEvents(),
		SignedHeaders: standardHeaders,
		Tolerance:     dialect.DefaultTolerance,
		Verifier:      dialect.CloudEventsVerifier(nil),
	})
}

func TestCloudEventsBinary_KeepsTheContract(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, dialecttest.Case{
		Dialect:       dialect.CloudEventsBinary(),
		SignedHeaders: append([]string{"ce-id", "ce-specversion"}, standardHeaders...),
		Tolerance:     dialect.DefaultTolerance,
		Verifier:      dialect.CloudEventsVerifier(nil),
	})
}

func TestCustom_OfAllPartsKeepsTheContract(t *testing.T) {
	t.Parallel()
	signature := dialect.BodyHMAC(&dialect.BodyHMACConfig{Header: "X-Signature", Prefix: "hmac "})
	d, err := dialect.NewCustom(&dialect.CustomConfig{
		ContentType:  "application/vnd.example+json",
		Envelope:     dialect.EnvelopeThin,
		EventHeaders: map[string]func(dialect.Event) string{"X-Event": func(ev dialect.Event) string { return ev.Type }},
		Headers:      map[string]string{"X-Source": "directory"},
		Method:       http.MethodPut,
		Name:         "hub_like",
		Signer:       signature,
		UserAgent:    "directory/2",
	})
	require.NoError(t, err)
	dialecttest.Run(t, dialecttest.Case{
		Dialect:         d,
		SignedHeaders:   []string{"X-Signature"},
		SingleSignature: true,
		Verifier:        signature,
	})
}

// Any dialect can have the headers of Standard Webhooks beside its own, and keeps
// its own contract and theirs.
func TestCustom_WithTheStandardHeadersBesideItsOwnKeepsBothContracts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base     dialect.Dialect
		signer   dialect.Signer
		own      string
		verifier dialect.Verifier
		overlaps bool
		tolerant time.Duration
	}{
		{dialect.Hub(), dialect.HubSigner(nil), "X-Hub-Signature-256", dialect.HubVerifier(nil), false, 0},
		{dialect.PyWebhooks(), dialect.PyWebhooksSigner(), "pywebhooks-signature", dialect.PyWebhooksVerifier(), false, 0},
		{dialect.Servo(), dialect.ServoSigner(), "X-Servo-Signature", dialect.ServoVerifier(), false, 0},
		{dialect.Stripe(), dialect.StripeSigner(nil), "Stripe-Signature", dialect.StripeVerifier(nil), true, dialect.DefaultTolerance},
	} {
		t.Run(c.base.Name(), func(t *testing.T) {
			t.Parallel()
			d, err := dialect.NewCustom(&dialect.CustomConfig{
				Base:   c.base,
				Name:   "both",
				Signer: dialect.Signers(c.signer, dialect.StandardSigner()),
			})
			require.NoError(t, err)
			t.Run("its own", func(t *testing.T) {
				t.Parallel()
				dialecttest.Run(t, dialecttest.Case{
					Dialect:         d,
					SignedHeaders:   []string{c.own},
					SingleSignature: !c.overlaps,
					Tolerance:       c.tolerant,
					Verifier:        c.verifier,
				})
			})
			t.Run("that of Standard Webhooks", func(t *testing.T) {
				t.Parallel()
				dialecttest.Run(t, dialecttest.Case{
					Dialect:       d,
					SignedHeaders: standardHeaders,
					Tolerance:     dialect.DefaultTolerance,
					Verifier:      dialect.StandardVerifier(nil),
				})
			})
		})
	}
}
