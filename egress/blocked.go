package egress

import "errors"

// ErrBlocked is behind every refusal of a Policy. The request was not sent and
// will not be until the policy, the URL or what its name resolves to changes.
var ErrBlocked = errors.New("egress: blocked")

// rule names the rule that refused a request.
type rule string

// The rules, in the order in which they are applied.
const (
	ruleSyntax   rule = "syntax"   // not a URL that can be sent to
	ruleScheme   rule = "scheme"   // neither https nor an allowed http
	ruleUserinfo rule = "userinfo" // user or password in the URL
	ruleFragment rule = "fragment" // a fragment in the URL
	ruleHost     rule = "host"     // host missing, malformed or ambiguous
	rulePort     rule = "port"     // port not open
	ruleAddress  rule = "address"  // address not open
	ruleProxy    rule = "proxy"    // forbidden by the rules of the egress proxy
)

// BlockedError is a refusal by a Policy, for errors.As; errors.Is finds
// ErrBlocked. Its text is for the operator: it may say what a name resolved to.
// It never holds a URL's userinfo, path or query.
type BlockedError struct {
	// Reason says why, for the operator.
	Reason string

	rule rule
}

// Error gives the reason.
func (e *BlockedError) Error() string {
	return "egress: blocked: " + e.Reason
}

// Owner says why in words that may be shown to the subscription's owner: for an
// address, and what a proxy forbids, no more than "address not allowed", so that nobody can map a network
// by subscribing to names.
func (e *BlockedError) Owner() string {
	if e.rule == ruleAddress || e.rule == ruleProxy {
		return "address not allowed"
	}
	return e.Reason
}

// Unwrap returns ErrBlocked.
func (e *BlockedError) Unwrap() error {
	return ErrBlocked
}
