package egress

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURL bounds a URL in bytes: what intermediaries are asked to support at
// least is 8000 (RFC 9110, section 4.1), and an endpoint needs far less.
const maxURL = 2048

// CheckURL judges an endpoint's URL: nil, or a *BlockedError. It checks syntax,
// scheme, userinfo (refused: credentials do not belong in a URL), fragment
// (refused: it is never sent), port and host. An IP literal is classified at
// once, as are localhost and its sub-domains; any other name is not looked up
// here but judged at each dial. It does no I/O.
//
// The host must be ASCII: international names are given in their xn-- form.
func (p *Policy) CheckURL(raw string) error {
	switch {
	case len(raw) > maxURL:
		return &BlockedError{rule: ruleSyntax, Reason: fmt.Sprintf("the URL is longer than %d bytes", maxURL)}
	case !utf8.ValidString(raw):
		return &BlockedError{rule: ruleSyntax, Reason: "the URL is not valid UTF-8"}
	case strings.ContainsFunc(raw, forbiddenInURL):
		return &BlockedError{rule: ruleSyntax, Reason: "the URL holds a space, a backslash or a control character"}
	case strings.Contains(raw, "#"):
		return &BlockedError{rule: ruleFragment, Reason: "the URL must not have a fragment"}
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's error quotes the URL, which may hold a token.
		return &BlockedError{rule: ruleSyntax, Reason: "the URL cannot be parsed"}
	}
	return p.checkParsedURL(u)
}

// forbiddenInURL holds what parsers are known to disagree about.
func forbiddenInURL(r rune) bool {
	return r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
}

func (p *Policy) checkParsedURL(u *url.URL) error {
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && p.cfg.AllowHTTP:
	case u.Scheme == "":
		return &BlockedError{rule: ruleScheme, Reason: "the URL must be absolute and start with https://"}
	case u.Scheme == "http":
		return &BlockedError{rule: ruleScheme, Reason: "the scheme must be https"}
	default:
		return &BlockedError{rule: ruleScheme, Reason: "the scheme is not one that requests are sent to"}
	}
	switch {
	case u.Opaque != "":
		return &BlockedError{rule: ruleSyntax, Reason: "the URL must have // after its scheme"}
	case u.User != nil:
		return &BlockedError{rule: ruleUserinfo, Reason: "the URL must not have a user or a password"}
	}
	port, err := urlPort(u)
	if err != nil {
		return err
	}
	if err := p.checkHost(u.Hostname()); err != nil {
		return err
	}
	return p.checkPort(port)
}

func urlPort(u *url.URL) (uint16, error) {
	text := u.Port()
	switch {
	case text == "" && strings.HasSuffix(u.Host, ":"):
		return 0, &BlockedError{rule: rulePort, Reason: "the port is empty"}
	case text == "" && u.Scheme == "http":
		return 80, nil
	case text == "":
		return 443, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, &BlockedError{rule: rulePort, Reason: "the port is not between 1 and 65535"}
	}
	return uint16(port), nil
}

func (p *Policy) checkHost(host string) error {
	if host == "" {
		return &BlockedError{rule: ruleHost, Reason: "the host is missing"}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return &BlockedError{rule: ruleHost, Reason: "the address must not have a zone"}
		}
		return p.checkAddr(addr, nil)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if err := checkName(name); err != nil {
		return err
	}
	// RFC 6761, section 6.3: these names always mean loopback.
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		if p.checkAddr(netip.IPv6Loopback(), nil) == nil {
			return nil
		}
		return p.checkAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil)
	}
	return nil
}

// checkName accepts a host name by RFC 1123, with underscores, that no resolver
// can take for an address: some read 2130706433, 0x7f.1 or 127.1 as IPv4.
func checkName(name string) error {
	if len(name) > 253 {
		return &BlockedError{rule: ruleHost, Reason: "the host is longer than 253 bytes"}
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return &BlockedError{rule: ruleHost, Reason: "the host has an empty label"}
		case len(label) > 63:
			return &BlockedError{rule: ruleHost, Reason: "the host has a label longer than 63 bytes"}
		case strings.HasPrefix(label, "-"), strings.HasSuffix(label, "-"):
			return &BlockedError{rule: ruleHost, Reason: "the host has a label that starts or ends with a hyphen"}
		}
		for _, c := range []byte(label) {
			if c >= utf8.RuneSelf {
				return &BlockedError{rule: ruleHost, Reason: "the host must be ASCII: write international names in their xn-- form"}
			}
			if !isNameByte(c) {
				return &BlockedError{rule: ruleHost, Reason: "the host has a character that a host name cannot have"}
			}
		}
	}
	if isNumber(labels[len(labels)-1]) {
		return &BlockedError{rule: ruleHost, Reason: "the host ends in a number but is not an IPv4 address in dotted decimal form"}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func isNumber(label string) bool {
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = hex, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}
