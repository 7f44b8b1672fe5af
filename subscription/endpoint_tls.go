package subscription

import (
	"errors"
	"fmt"

	"github.com/riverhook/riverhook/internal/endpointauth"
)

// EndpointTLS is what a subscription's TLS connections have of their own. Each text
// is PEM of up to 64 KiB. Certificates are verified in any case.
type EndpointTLS struct {
	// Certificate is the client certificate that the endpoint is shown where it
	// asks for one, with its chain behind it, in place of the engine's. "" is none.
	Certificate string `json:"certificate"`

	// Key is the certificate's private key, not encrypted. Required with it.
	Key Credential `json:"key"`

	// RootCAs are the authorities that sign the endpoint's certificate, in place of
	// all others. "" is the engine's.
	RootCAs string `json:"root_cas"`
}

// Format implements fmt.Formatter: what there is, for each verb and flag.
func (t EndpointTLS) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "TLS settings: authorities %t, client certificate %t", t.RootCAs != "", t.Certificate != "")
}

func (t EndpointTLS) stored() endpointauth.TLS {
	return endpointauth.TLS{
		Certificate: t.Certificate,
		Key:         t.Key.Reveal(),
		RootCAs:     t.RootCAs,
	}
}

func checkEndpointTLS(t *EndpointTLS) error {
	if t == nil {
		return nil
	}
	stored := t.stored()
	switch {
	case stored.Certificate != "" && stored.Key == "":
		return &InvalidError{Field: "TLS.Key", Reason: "is required with Certificate"}
	case stored.Certificate == "" && stored.Key != "":
		return &InvalidError{Field: "TLS.Certificate", Reason: "is required with Key"}
	}
	if _, err := stored.Roots(); err != nil {
		return &InvalidError{Field: "TLS.RootCAs", Reason: err.Error()}
	}
	_, err := stored.ClientCertificate()
	switch {
	case errors.Is(err, endpointauth.ErrKey):
		return &InvalidError{Field: "TLS.Key", Reason: "must be the certificate's private key in PEM, not encrypted"}
	case err != nil:
		return &InvalidError{Field: "TLS.Certificate", Reason: err.Error()}
	}
	return nil
}
