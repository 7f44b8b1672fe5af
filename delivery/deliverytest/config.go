package deliverytest

import (
	"errors"
	"slices"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

const defaultMaxBody = 16 << 20

// ReceiverConfig configures a Receiver.
type ReceiverConfig struct {
	// Answer chooses the answer to a request that no scripted one is left for.
	// It must be safe for concurrent use. Default: the zero Answer, which is 204.
	Answer func(Request) Answer

	// HTTP2 lets a TLS receiver speak HTTP/2. Default: false, HTTP/1.1 only.
	HTTP2 bool

	// MaxBody bounds a request's body in bytes; a longer one is recorded as a
	// failure. Default: 16 MiB.
	MaxBody int64

	// Now is the clock that signatures are verified by. Default: time.Now.
	Now func() time.Time

	// Secrets are what signatures are verified with; Trust adds more.
	// Default: none.
	Secrets []dialect.Secret

	// TLS serves https, by a certificate that RootCAs verifies.
	// Default: false, http.
	TLS bool

	// Verifier verifies each request. Default: dialect.StandardVerifier as soon
	// as there is a secret, until then none.
	Verifier dialect.Verifier
}

func (c *ReceiverConfig) withDefaults() *ReceiverConfig {
	out := ReceiverConfig{}
	if c != nil {
		out = *c
	}
	if out.Answer == nil {
		out.Answer = func(Request) Answer { return Answer{} }
	}
	if out.MaxBody == 0 {
		out.MaxBody = defaultMaxBody
	}
	if out.Now == nil {
		out.Now = time.Now
	}
	out.Secrets = slices.Clone(out.Secrets)
	return &out
}

func (c *ReceiverConfig) validate() error {
	switch {
	case c.HTTP2 && !c.TLS:
		return errors.New("deliverytest: ReceiverConfig.HTTP2: needs TLS")
	case c.MaxBody < 0:
		return errors.New("deliverytest: ReceiverConfig.MaxBody: must not be negative")
	}
	return nil
}
