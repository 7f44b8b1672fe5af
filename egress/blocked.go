package egress

import "errors"

// ErrBlocked is behind every refusal of a Policy. The request was not sent and
// will not be until the policy, the URL or what its name resolves to changes.
var ErrBlocked = errors.New("egress: blocked")

// Rule names the rule that refused a request.
type Rule string

// The rules, in the order in which they are applied.
const (
	RuleSyntax   Rule = "syntax"   // not a URL that can be sent to
	RuleScheme   Rule = "scheme"   // neither https nor an allowed http
	RuleUserinfo Rule = "userinfo" // user or password in the URL
	RuleFragment Rule = "fragment" // a fragment in the URL
	RuleHost     Rule = "host"     // host missing, malformed or ambiguous
	RulePort     Rule = "port"     // port not open
	RuleAddress  Rule = "address"  // address not open
	RuleProxy    Rule = "proxy"    // forbidden by the rules of the egress proxy
)

// BlockedError is a refusal by a Policy, for errors.As; errors.Is finds
// ErrBlocked. Its text is for the operator: it may say what a name resolved to.
// It never holds a URL's userinfo, path or query.
type BlockedError struct {
	// Rule is the rule that refused.
	Rule Rule

	// Reason says why, for the operator.
	Reason string
}

// Error gives the rule and the reason.
func (e *BlockedError) Error() string {
	return "egress: blocked: " + e.Reason
}

// Owner says why in words that may be shown to the subscription's owner: for an
// address, and what a proxy forbids, no more than "address not allowed", so that nobody can map a network
// by subscribing to names.
func (e *BlockedError) Owner() string {
	if e.Rule == RuleAddress || e.Rule == RuleProxy {
		return "address not allowed"
	}
	return e.Reason
}

// Unwrap returns ErrBlocked.
func (e *BlockedError) Unwrap() error {
	return ErrBlocked
}
