package dialect_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// A receiver: verify the body, and only then use it.
func ExampleVerifyRequest() {
	secret, err := dialect.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := dialect.VerifyRequest(r, dialect.StandardVerifier(nil), []dialect.Secret{secret}, nil)
		if err != nil {
			http.Error(w, "not verified", http.StatusUnauthorized)
			return
		}
		fmt.Printf("%s: %s\n", r.Header.Get("Webhook-Id"), body)
		w.WriteHeader(http.StatusNoContent)
	})

	// What a sender does, here in a test of the receiver.
	send := func(body, signed string) int {
		h, err := dialect.StandardSigner().Sign(dialect.SignInput{
			ID:      "msg_1",
			At:      time.Now(),
			Body:    []byte(signed),
			Secrets: []dialect.Secret{secret},
		})
		if err != nil {
			panic(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(body))
		r.Header = h
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	fmt.Println(send(`{"type":"user.created"}`, `{"type":"user.created"}`))
	fmt.Println(send(`{"type":"user.deleted"}`, `{"type":"user.created"}`))
	// Output:
	// msg_1: {"type":"user.created"}
	// 204
	// 401
}

func ExampleVerifier_errors() {
	secret, err := dialect.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	h.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("Webhook-Timestamp", "1614265330")
	h.Set("Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")

	now := time.Unix(1614265330, 0).Add(time.Hour)
	err = dialect.StandardVerifier(nil).Verify(h, []byte(`{"test": 2432232314}`), []dialect.Secret{secret}, now)
	fmt.Println(errors.Is(err, dialect.ErrTooOld))
	// Output: true
}

// upperHex signs the body alone, in one header.
type upperHex struct{}

func (upperHex) Sign(in dialect.SignInput) (http.Header, error) {
	if len(in.Secrets) == 0 || in.Secrets[0].IsZero() {
		return nil, dialect.ErrNoSecret
	}
	mac := hmac.New(sha256.New, in.Secrets[0].Key())
	mac.Write(in.Body)
	return http.Header{"X-Acme-Signature": {strings.ToUpper(hex.EncodeToString(mac.Sum(nil)))}}, nil
}

func ExampleNewCustom() {
	acme, err := dialect.NewCustom(&dialect.CustomConfig{
		ContentType: "application/vnd.acme+json",
		Envelope:    dialect.EnvelopeBare,
		EventHeaders: map[string]func(dialect.Event) string{
			"X-Acme-Event": func(ev dialect.Event) string { return ev.Type },
		},
		Method:    http.MethodPut,
		Name:      "acme",
		Signer:    upperHex{},
		UserAgent: "directory/2",
	})
	if err != nil {
		panic(err)
	}

	secret, err := dialect.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		panic(err)
	}
	msg, err := acme.Envelope(dialect.Event{ID: "msg_1", Type: "user.created"}, []byte(`{"name":"Ann"}`))
	if err != nil {
		panic(err)
	}
	to := dialect.Destination{URL: "https://example.com/hook", Secrets: []dialect.Secret{secret}}
	req, err := acme.Request(msg, to, dialect.Attempt{Number: 1, At: time.Unix(1700000000, 0)})
	if err != nil {
		panic(err)
	}
	fmt.Println(req.Method, req.URL)
	for _, name := range []string{"Content-Type", "User-Agent", "X-Acme-Event"} {
		fmt.Printf("%s: %s\n", name, req.Header.Get(name))
	}
	fmt.Println(len(req.Header.Get("X-Acme-Signature")), "characters of signature")
	fmt.Println(string(req.Body))
	// Output:
	// PUT https://example.com/hook
	// Content-Type: application/vnd.acme+json
	// User-Agent: directory/2
	// X-Acme-Event: user.created
	// 64 characters of signature
	// {"name":"Ann"}
}
