// Package endpointauth is how requests show an endpoint who sends them, and how
// they know the endpoint, in the form in which that is sealed and stored. Its
// values hold secrets and are not to be printed.
package endpointauth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The kinds of values that are stored for a subscription.
const (
	KindCredentials = "credentials" // Credentials
	KindHeaders     = "headers"     // map[string]string, of names
	KindTLS         = "tls"         // TLS
)

// MaxPEM bounds each text of a TLS value, in bytes.
const MaxPEM = 64 << 10

// Credentials go into the header Authorization. One of the fields is set.
type Credentials struct {
	Basic  *Basic  `json:"basic,omitempty"`
	Bearer string  `json:"bearer,omitempty"`
	OAuth2 *OAuth2 `json:"oauth2,omitempty"`
}

// Basic is a user and a password (RFC 7617).
type Basic struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// OAuth2 is what a token is asked for with (RFC 6749, section 4.4).
type OAuth2 struct {
	AuthStyle    string            `json:"auth_style,omitempty"` // "": found out; AuthStyleHeader, AuthStyleParams
	ClientID     string            `json:"client_id"`
	ClientSecret string            `json:"client_secret"`
	Params       map[string]string `json:"params,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"`
	TokenURL     string            `json:"token_url"`
}

// The ways to send the client's id and secret (RFC 6749, section 2.3.1).
const (
	AuthStyleHeader = "header"
	AuthStyleParams = "params"
)

// TLS is what is PEM: authorities, and a client certificate with its key.
type TLS struct {
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	RootCAs     string `json:"root_cas,omitempty"`
}

// Roots are the authorities; nil where there are none. The error says what is
// wrong with the PEM without showing any of it.
func (t TLS) Roots() (*x509.CertPool, error) {
	if t.RootCAs == "" {
		return nil, nil
	}
	certificates, err := parseCertificates(t.RootCAs)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, certificate := range certificates {
		pool.AddCert(certificate)
	}
	return pool, nil
}

// ErrKey is behind the errors of ClientCertificate that are the key's, and not the
// certificate's.
var ErrKey = errors.New("key")

// ClientCertificate is the certificate with its chain and key; none where there
// is none. The error says what is wrong without showing any of it.
func (t TLS) ClientCertificate() ([]tls.Certificate, error) {
	if t.Certificate == "" && t.Key == "" {
		return nil, nil
	}
	if _, err := parseCertificates(t.Certificate); err != nil {
		return nil, err
	}
	if len(t.Key) > MaxPEM {
		return nil, fmt.Errorf("%w: is longer than %d bytes", ErrKey, MaxPEM)
	}
	pair, err := tls.X509KeyPair([]byte(t.Certificate), []byte(t.Key))
	if err != nil {
		// The certificate is good, so that this is about the key. What the parser says
		// may quote it.
		return nil, fmt.Errorf("%w: must be the certificate's private key in PEM, not encrypted", ErrKey)
	}
	return []tls.Certificate{pair}, nil
}

func parseCertificates(text string) ([]*x509.Certificate, error) {
	if len(text) > MaxPEM {
		return nil, fmt.Errorf("is longer than %d bytes", MaxPEM)
	}
	var certificates []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if strings.TrimSpace(string(rest)) != "" {
				return nil, errors.New("must hold certificates in PEM and nothing else")
			}
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d: is not a certificate", len(certificates)+1)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d: is not a valid certificate", len(certificates)+1)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("must hold a certificate in PEM")
	}
	return certificates, nil
}
