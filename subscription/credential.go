package subscription

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/text"
)

const (
	maxCredential = 8 << 10
	maxParams     = 20
	maxScopes     = 50
)

// Credential is a password, a token or a private key. However it is printed,
// logged or marshaled it shows "[redacted]"; [Credential.Reveal] alone gives it
// away. Stored it is sealed, and no method returns it.
type Credential string

// Format implements fmt.Formatter: "[redacted]", or nothing if there is none, for each verb and
// flag.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.shown()) }

// MarshalText implements encoding.TextMarshaler, and so covers JSON and both handlers of slog.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.shown()), nil }

// Reveal returns the credential itself.
func (c Credential) Reveal() string { return string(c) }

// shown is what a credential is printed as.
func (c Credential) shown() string {
	if c == "" {
		return ""
	}
	return redacted
}

// CredentialsKind says what is in the header Authorization of requests.
type CredentialsKind string

// The kinds of credentials. "" is none.
const (
	CredentialsBasic  CredentialsKind = "basic"
	CredentialsBearer CredentialsKind = "bearer"
	CredentialsOAuth2 CredentialsKind = "oauth2"
)

// Credentials are what requests carry in the header Authorization, beside their
// signature, for endpoints that ask for it. One of the fields is set at most; the
// zero value is no credentials.
type Credentials struct {
	// Basic is a user and a password (RFC 7617).
	Basic *BasicCredentials `json:"basic"`

	// Bearer is a token that does not change (RFC 6750): 1 to 8192 visible ASCII
	// characters.
	Bearer Credential `json:"bearer"`

	// OAuth2 has the engine ask a token endpoint for tokens.
	OAuth2 *OAuth2Credentials `json:"oauth2"`
}

// BasicCredentials are a user and a password, up to 8192 bytes each without
// control characters.
type BasicCredentials struct {
	Username string     `json:"username"` // required; without a colon
	Password Credential `json:"password"`
}

// OAuth2Credentials are those of the client credentials grant (RFC 6749, section
// 4.4). The token is asked for by the same egress policy and TLS settings as
// requests to the endpoint, kept until it expires or the endpoint answers 401,
// and must be a bearer token.
type OAuth2Credentials struct {
	// AuthStyle says where id and secret are sent: "header" (Basic) or "params"
	// (the body). "" tries the one and then the other.
	AuthStyle string `json:"auth_style"`

	// ClientID is who asks. Required.
	ClientID string `json:"client_id"`

	// ClientSecret proves it. Required.
	ClientSecret Credential `json:"client_secret"`

	// Params are sent besides, such as "audience" or "resource": up to 20, not
	// those of the grant itself.
	Params map[string]string `json:"params"`

	// Scopes are what is asked for, up to 50 (RFC 6749, section 3.3).
	Scopes []string `json:"scopes"`

	// TokenURL is where tokens are asked for. It is held against the same policy
	// as URL, is stored in ASCII as that is, and must not have a query. Required.
	TokenURL string `json:"token_url"`
}

// Kind says which of the fields is set; "" for none.
func (c Credentials) Kind() CredentialsKind {
	switch {
	case c.Basic != nil:
		return CredentialsBasic
	case c.Bearer != "":
		return CredentialsBearer
	case c.OAuth2 != nil:
		return CredentialsOAuth2
	default:
		return ""
	}
}

// Format implements fmt.Formatter: the kind, for each verb and flag. fmt shows what
// is behind pointers by verbs that do not suit them, past the methods of the fields.
func (c Credentials) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "credentials: "+string(c.Kind()))
}

// Format implements fmt.Formatter: the user alone, for each verb and flag.
func (b BasicCredentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "basic: "+b.Username) }

// Format implements fmt.Formatter: the client and where it asks, for each verb and
// flag.
func (o OAuth2Credentials) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "oauth2: "+o.ClientID+" at "+redactURL(o.TokenURL))
}

// MarshalJSON implements json.Marshaler, without credentials.
func (o OAuth2Credentials) MarshalJSON() ([]byte, error) {
	type plain OAuth2Credentials
	o.TokenURL = redactURL(o.TokenURL)
	return json.Marshal(plain(o))
}

// stored is what is sealed.
func (c Credentials) stored() endpointauth.Credentials {
	out := endpointauth.Credentials{Bearer: c.Bearer.Reveal()}
	if c.Basic != nil {
		out.Basic = &endpointauth.Basic{Username: c.Basic.Username, Password: c.Basic.Password.Reveal()}
	}
	if o := c.OAuth2; o != nil {
		out.OAuth2 = &endpointauth.OAuth2{
			AuthStyle:    o.AuthStyle,
			ClientID:     o.ClientID,
			ClientSecret: o.ClientSecret.Reveal(),
			Params:       maps.Clone(o.Params),
			Scopes:       slices.Clone(o.Scopes),
			TokenURL:     o.TokenURL,
		}
	}
	return out
}

// checkCredentials does not show any value.
func (c Config) checkCredentials(given *Credentials) error {
	if given == nil {
		return nil
	}
	set := 0
	for _, is := range []bool{given.Basic != nil, given.Bearer != "", given.OAuth2 != nil} {
		if is {
			set++
		}
	}
	if set > 1 {
		return &InvalidError{Field: "Credentials", Reason: "has more than one of Basic, Bearer and OAuth2"}
	}
	if given.Basic != nil {
		return firstOf(
			named("Credentials.Basic.Username", func() error { return checkUsername(given.Basic.Username) }),
			named("Credentials.Basic.Password", func() error { return checkCredentialText(given.Basic.Password.Reveal()) }),
		)
	}
	if given.OAuth2 != nil {
		return c.checkOAuth2(given.OAuth2)
	}
	return named("Credentials.Bearer", func() error { return checkVisible(given.Bearer.Reveal()) })()
}

func (c Config) checkOAuth2(o *OAuth2Credentials) error {
	return firstOf(
		named("Credentials.OAuth2.AuthStyle", func() error {
			switch o.AuthStyle {
			case "", endpointauth.AuthStyleHeader, endpointauth.AuthStyleParams:
				return nil
			default:
				return fmt.Errorf("%s is not known; known are %s, %s",
					text.Quote(o.AuthStyle), endpointauth.AuthStyleHeader, endpointauth.AuthStyleParams)
			}
		}),
		named("Credentials.OAuth2.ClientID", func() error { return required(o.ClientID, checkCredentialText) }),
		named("Credentials.OAuth2.ClientSecret", func() error { return required(o.ClientSecret.Reveal(), checkCredentialText) }),
		named("Credentials.OAuth2.Params", func() error { return checkParams(o.Params) }),
		named("Credentials.OAuth2.Scopes", func() error { return checkList(o.Scopes, maxScopes, checkScope) }),
		named("Credentials.OAuth2.TokenURL", func() error {
			if strings.Contains(o.TokenURL, "?") {
				return errors.New("must not have a query; Params are for what is sent besides")
			}
			return c.checkURL(o.TokenURL)
		}),
	)
}

// named checks what belongs to a field.
func named(name string, check func() error) func() error {
	return func() error {
		if err := check(); err != nil {
			return &InvalidError{
				Field:  name,
				Reason: err.Error(),
				err:    err,
			}
		}
		return nil
	}
}

func required(s string, check func(string) error) error {
	if s == "" {
		return errors.New("is required")
	}
	return check(s)
}

func checkCredentialText(s string) error {
	if err := text.Check(s, maxCredential); err != nil {
		return err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must not hold control characters")
	}
	return nil
}

func checkUsername(s string) error {
	if strings.Contains(s, ":") {
		return errors.New("must not hold a colon (RFC 7617, section 2)")
	}
	return required(s, checkCredentialText)
}

func checkVisible(s string) error {
	if len(s) > maxCredential {
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(s), maxCredential)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must be visible ASCII characters")
	}
	return nil
}

func checkParams(params map[string]string) error {
	if len(params) > maxParams {
		return fmt.Errorf("has %d entries; at most %d are allowed", len(params), maxParams)
	}
	for name, value := range params {
		switch name {
		case "", "client_id", "client_secret", "grant_type", "scope":
			return fmt.Errorf("%s is not for Params", text.Quote(name))
		}
		if err := firstError(checkCredentialText(name), checkCredentialText(value)); err != nil {
			return fmt.Errorf("%s: %w", text.Quote(name), err)
		}
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkScope follows RFC 6749, section 3.3.
func checkScope(s string) error {
	if s == "" || len(s) > text.MaxID {
		return fmt.Errorf("must have 1 to %d characters", text.MaxID)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return errors.New(`must be visible ASCII characters other than " and \`)
	}
	return nil
}
