package dialecttest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// Case is a dialect, and what is to be known of it to test it.
type Case struct {
	// Dialect is tested. Required.
	Dialect dialect.Dialect

	// Secrets are at least three different ones to sign with. Default: three
	// of 32 bytes.
	Secrets []dialect.Secret

	// SignedHeaders are the headers that the verifier needs: each is removed,
	// and changed by one byte at every place, and must then be refused.
	// Required with a Verifier.
	SignedHeaders []string

	// SingleSignature says that a request has room for one signature only, that
	// of the newest secret, so that secrets cannot overlap on the sender's side.
	SingleSignature bool

	// Tolerance is how far the verifier lets the time of a request be from
	// now, both ways. 0 says that the signature carries no time.
	Tolerance time.Duration

	// Verifier is the receiving half. nil says that requests are not signed.
	Verifier dialect.Verifier
}

// Run checks that a dialect keeps the contract of [dialect.Dialect]:
//
//   - it is pure: the same input gives the same output at any time, whatever was
//     called before or is called meanwhile (run it with -race), and its input is
//     not modified;
//   - it does no I/O: where nothing can be opened its output is the same. For that
//     Run starts the test in a second process; on systems other than Unix this is
//     not checked;
//   - a message that was stored serves all attempts, and its body is what is sent;
//   - the destination's headers are sent but win over none of the dialect's, and
//     cannot smuggle in a line;
//   - no secret is in the request.
//
// And with a Verifier:
//
//   - what is signed verifies, with headers in any case, by the time that the
//     verifier is given, and without a change of its input;
//   - a body or a signed header that differs by one byte does not, nor do a
//     missing header, another secret, no secret, and a time that is outside of
//     the tolerance, each with its error;
//   - while two secrets overlap, a receiver that has either of them accepts,
//     and the signature of the newest secret comes first.
func Run(t *testing.T, c Case) {
	t.Helper()
	if c.Dialect == nil {
		t.Fatal("dialecttest: Case.Dialect is nil")
	}
	if c.Verifier != nil && len(c.SignedHeaders) == 0 {
		t.Fatal("dialecttest: Case.SignedHeaders is empty; it is required with a Verifier")
	}
	if c.Secrets == nil {
		c.Secrets = secrets()
	}
	if len(c.Secrets) < 3 {
		t.Fatal("dialecttest: Case.Secrets needs three or more")
	}

	checks := []check{
		{"HasAValidName", checkName},
		{"MakesTheSameMessageOfTheSameEvent", checkEnvelope},
		{"MakesTheSameRequestOfTheSameMessage", checkRequest},
		{"RemembersNothingOfOtherCalls", checkState},
		{"ServesAllAttemptsWithOneStoredMessage", checkStored},
		{"SendsTheDestinationsHeadersButItsOwnWin", checkHeaders},
		{"LetsNoHeaderSmuggleALine", checkSmuggling},
		{"KeepsSecretsOutOfTheRequest", checkLeak},
	}
	if c.Verifier != nil {
		checks = append(checks,
			check{"VerifiesWithHeadersInAnyCase", checkCase},
			check{"RefusesABodyThatDiffersByAByte", checkBodyTampering},
			check{"RefusesASignedHeaderThatIsMissing", checkMissing},
			check{"RefusesASignedHeaderThatDiffersByAByte", checkHeaderTampering},
			check{"RefusesOtherSecretsAndNone", checkSecrets},
			check{"RefusesTimesOutsideOfTheTolerance", checkTimes},
			check{"LetsSecretsOverlapNewestFirst", checkRotation},
		)
	}
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			if err := check.run(c); err != nil {
				t.Fatal(err)
			}
		})
	}
	if c.Verifier != nil {
		t.Run("VerifiesByTheTimeThatItIsGivenAndLeavesItsInputAlone", func(t *testing.T) {
			if err := checkVerifier(t, c); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("HasNoClock", func(t *testing.T) {
		if err := checkClock(t, c); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("DoesNoInputOrOutput", func(t *testing.T) {
		if err := checkIO(t, c); err != nil {
			t.Fatal(err)
		}
	})
}

type check struct {
	name string
	run  func(Case) error
}

// What the checks send. Every value is of a kind that dialects have stumbled
// over: decimals in times, escapes, white space and non-ASCII in the data.
func event() dialect.Event {
	return dialect.Event{
		ID:           "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
		Type:         "user.created",
		Site:         "/noaa/nws/oun",
		ActiveSite:   "/noaa",
		Channel:      "people",
		Actor:        "head",
		ResourceKind: "user",
		ResourceID:   "42",
		Attributes:   map[string]string{"class": "public"},
		Data:         data(),
		OccurredAt:   time.Date(2026, 5, 1, 14, 0, 0, 123456000, time.FixedZone("", 2*60*60)),
	}
}

func data() []byte { return []byte(`{ "name": "Zoë <&> \u00e9", "n": 1.0 }`) }

func attempt() dialect.Attempt {
	return dialect.Attempt{Number: 1, At: time.Date(2026, 5, 1, 12, 0, 1, 999_000_000, time.UTC)}
}

func destination(secrets ...dialect.Secret) dialect.Destination {
	return dialect.Destination{
		URL:     "https://example.com/hook?a=b",
		Secrets: secrets,
		Headers: map[string]string{"X-Dialecttest": "yes"},
	}
}

func secrets() []dialect.Secret {
	out := make([]dialect.Secret, 3)
	for i := range out {
		secret, err := dialect.NewSecret(bytes.Repeat([]byte{byte(i + 1), 0xfe}, 16))
		if err != nil {
			panic(fmt.Sprintf("dialecttest: %v", err)) // 32 bytes are always right
		}
		out[i] = secret
	}
	return out
}

func build(c Case, to dialect.Destination) (dialect.Request, error) {
	msg, err := c.Dialect.Envelope(event(), data())
	if err != nil {
		return dialect.Request{}, fmt.Errorf("Envelope: %w", err)
	}
	req, err := c.Dialect.Request(msg, to, attempt())
	if err != nil {
		return dialect.Request{}, fmt.Errorf("Request: %w", err)
	}
	return req, nil
}
