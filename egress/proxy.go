package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Proxy is a proxy through which a Policy's connections go. Its address is the
// operator's and not held against the rules for endpoints.
//
// Each connection to an endpoint is a tunnel of its own, for plain http too: a
// proxy for HTTP must allow CONNECT to every port that the policy opens. TLS is
// spoken with the endpoint, through the tunnel. Printed, logged or marshaled a
// Proxy does not show its password.
type Proxy struct {
	// Certificates are shown to an https proxy that asks for one. Default: none.
	Certificates []tls.Certificate

	// Password goes with Username.
	Password string

	// RootCAs are the authorities that sign an https proxy's certificate, which
	// is always verified. Default: those of the system.
	RootCAs *x509.CertPool

	// URL is its address and what it speaks: "http://proxy.internal:3128",
	// "https://..." for HTTP over TLS, or "socks5://..." (RFC 1928). The port is
	// 80, 443 or 1080 where none is given. Required.
	URL string

	// Username is sent to a proxy that asks who we are: by the Basic scheme, or
	// by RFC 1929. Default: none.
	Username string
}

// Format implements fmt.Formatter. It names the proxy, with its user and without the
// password, for each verb and flag.
func (p Proxy) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.public()) }

// MarshalJSON implements json.Marshaler. It shows what Format does.
func (p Proxy) MarshalJSON() ([]byte, error) { return json.Marshal(p.public()) }

// public names the proxy without its password.
func (p Proxy) public() string {
	u, err := p.parse()
	if err != nil {
		return "invalid proxy"
	}
	if p.Username != "" {
		u.User = url.User(p.Username)
	}
	return u.String()
}

// ErrProxy is behind every failure of the proxy itself. It says nothing about
// the endpoint, which was not reached.
var ErrProxy = errors.New("egress: the proxy failed")

// ProxyError is a failure of the configured proxy, for errors.As; errors.Is finds
// ErrProxy, and what caused it. Its text is for the operator: it names the proxy's
// address, never its password. What a proxy says about an endpoint is none: that
// it cannot reach it is an error of the connection, that its rules forbid it a
// BlockedError.
type ProxyError struct {
	// Reason says what failed, for the operator.
	Reason string

	err error
}

// Error gives the reason.
func (e *ProxyError) Error() string { return "egress: proxy: " + e.Reason }

// Unwrap returns ErrProxy, and what caused it unless the proxy itself said so.
func (e *ProxyError) Unwrap() []error {
	if e.err == nil {
		return []error{ErrProxy}
	}
	return []error{ErrProxy, e.err}
}

func proxyFailed(what string, err error) error {
	if err == nil {
		return &ProxyError{Reason: what}
	}
	return &ProxyError{Reason: what + ": " + err.Error(), err: err}
}

var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

func (p Proxy) parse() (*url.URL, error) {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil: // the parser's error quotes the URL
		return nil, errors.New("URL: cannot be parsed")
	case proxyPorts[u.Scheme] == "":
		return nil, errors.New("URL: must begin with http://, https:// or socks5://")
	case u.User != nil:
		return nil, errors.New("URL: must not have a user or a password; Username and Password are for them")
	case u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("URL: must have a host and nothing behind it but a port")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func (p Proxy) validate() error {
	u, err := p.parse()
	switch {
	case err != nil:
		return err
	case p.Password != "" && p.Username == "":
		return errors.New("Username: is required with Password")
	case u.Scheme == "socks5" && (len(p.Username) > 255 || len(p.Password) > 255):
		return errors.New("Username, Password: have at most 255 bytes for socks5")
	case u.Scheme == "socks5" && p.Username != "" && p.Password == "":
		return errors.New("Password: is required with Username for socks5")
	case u.Scheme != "socks5" && strings.Contains(p.Username, ":"):
		return errors.New("Username: must not hold a colon (RFC 7617)")
	case u.Scheme != "https" && (p.RootCAs != nil || len(p.Certificates) > 0):
		return errors.New("RootCAs, Certificates: are for https proxies")
	}
	return nil
}

// tunnels opens connections through a proxy.
type tunnels struct {
	address string // of the proxy
	net     *net.Dialer
	open    func(conn net.Conn, target string) error
	tls     *tls.Config // nil: in clear
}

func (p Proxy) tunnels(timeout time.Duration) *tunnels {
	u, err := p.parse()
	if err != nil {
		panic(err) // never: the configuration was validated
	}
	port := u.Port()
	if port == "" {
		port = proxyPorts[u.Scheme]
	}
	t := &tunnels{
		address: net.JoinHostPort(u.Hostname(), port),
		net:     &net.Dialer{Timeout: timeout},
		open:    p.connect,
	}
	switch u.Scheme {
	case "socks5":
		t.open = p.socks
	case "https":
		t.tls = &tls.Config{
			Certificates: p.Certificates,
			MinVersion:   tls.VersionTLS12,
			RootCAs:      p.RootCAs,
			ServerName:   u.Hostname(),
		}
	}
	return t
}

// dial opens a connection to target, which has been judged. It takes no longer
// than the connect timeout in all.
func (t *tunnels) dial(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.net.Timeout)
	defer cancel()
	conn, err := t.net.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, proxyFailed("cannot be reached", err)
	}
	conn, err = t.enter(ctx, conn, target)
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, context.Canceled // what was interrupted says nothing about the proxy
	}
	return conn, err
}

func (t *tunnels) enter(ctx context.Context, conn net.Conn, target string) (net.Conn, error) {
	// Whatever is being read or written then ends at once.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	through := conn
	if t.tls != nil {
		secured := tls.Client(conn, t.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, proxyFailed("TLS", err)
		}
		through = secured
	}
	err := t.open(through, target)
	if !stop() && err == nil {
		err = unreachedTarget(ctx.Err())
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return through, nil
}

// unreachedTarget is the error for an endpoint that a proxy could not reach: one of
// a dial, as without a proxy.
func unreachedTarget(err error) error {
	return &net.OpError{
		Op:  "dial",
		Net: "tcp",
		Err: err,
	}
}

// unanswered is the error where a proxy does not say whether it has reached the
// endpoint: it has time for that, so a timeout is held to be the endpoint's.
func unanswered(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return unreachedTarget(os.ErrDeadlineExceeded)
	}
	return proxyFailed("broke off", err)
}

// judgeTarget is what can be judged of an endpoint whose name the proxy is going to
// resolve: its port, and its address where it is one.
func (d *dialer) judgeTarget(target string) error {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	if err := d.policy.checkPort(uint16(number)); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return d.policy.checkHost(host)
	}
	own, err := d.ownAddrs()
	if err != nil {
		return err
	}
	return d.policy.checkAddr(addr, own)
}

// refusedByProxy is the error for an endpoint that the rules of a proxy forbid.
func refusedByProxy(answer string) error {
	return &BlockedError{rule: ruleProxy, Reason: fmt.Sprintf("the egress proxy does not allow it (%s)", answer)}
}
