package attempt

// Outcome is the result of one attempt. Package delivery documents it.
type Outcome string

// The outcomes, which the database stores by these names.
const (
	OutcomeBlocked     Outcome = "blocked"
	OutcomeDelivered   Outcome = "delivered"
	OutcomeFailed      Outcome = "failed"
	OutcomeGone        Outcome = "gone"
	OutcomeInterrupted Outcome = "interrupted"
	OutcomeProxyFailed Outcome = "proxy_failed"
	OutcomeRedirected  Outcome = "redirected"
	OutcomeRejected    Outcome = "rejected"
	OutcomeThrottled   Outcome = "throttled"
	OutcomeTimeout     Outcome = "timeout"
	OutcomeUnreachable Outcome = "unreachable"
	OutcomeVetoed      Outcome = "vetoed"
)

// Accepted is true of the outcomes with which the endpoint accepted the message.
func Accepted(o Outcome) bool { return o == OutcomeDelivered || o == OutcomeVetoed }

// ConcernsEndpoint is false of the outcomes that have their cause on our side.
func ConcernsEndpoint(o Outcome) bool {
	return o != OutcomeInterrupted && o != OutcomeProxyFailed
}

// IsEndpointFailure is true of the outcomes that count against the endpoint as a whole. A
// request that the endpoint understands and refuses does not.
func IsEndpointFailure(o Outcome) bool {
	switch o {
	case OutcomeFailed, OutcomeThrottled, OutcomeTimeout, OutcomeUnreachable:
		return true
	default:
		return false
	}
}

// The classes of errors. A class says at which point an attempt without a usable answer
// failed; it is the first word of [Attempt.Error].
const (
	ClassBlocked  = "blocked"  // refused by the egress policy
	ClassBody     = "body"     // while the body of the answer was read
	ClassCanceled = "canceled" // by the engine
	ClassClosed   = "closed"   // connection closed before the answer
	ClassConnect  = "connect"  // no connection, for another reason than refused
	ClassDNS      = "dns"      // name not resolved
	ClassProof    = "proof"    // the answer to a challenge proves nothing
	ClassProtocol = "protocol" // an answer that is not HTTP
	ClassProxy    = "proxy"    // in the egress proxy
	ClassRefused  = "refused"  // connection refused
	ClassReset    = "reset"    // connection reset
	ClassTimeout  = "timeout"  // no answer within the time of the attempt
	ClassTLS      = "tls"      // handshake or certificate
	ClassToken    = "token"    // while an OAuth2 token was requested
	ClassVetoed   = "vetoed"   // none: the words of the gate follow
)
