package delivery

// Outcome is what became of one attempt.
type Outcome string

// The outcomes. Only Delivered ends a delivery well, and Vetoed that of a question;
// Gone also deactivates the subscription; the others are followed by the schedule's
// next attempt, if any, of which questions have none.
const (
	OutcomeBlocked     Outcome = "blocked"      // the egress policy refused; nothing was sent
	OutcomeDelivered   Outcome = "delivered"    // 2xx
	OutcomeFailed      Outcome = "failed"       // 5xx, or an answer that is not HTTP, or one that does not prove what was asked
	OutcomeGone        Outcome = "gone"         // 410
	OutcomeInterrupted Outcome = "interrupted"  // the engine stopped while it waited for the answer
	OutcomeProxyFailed Outcome = "proxy_failed" // the egress proxy failed; the endpoint was not reached, and nothing counts against it
	OutcomeRedirected  Outcome = "redirected"   // 3xx, never followed
	OutcomeRejected    Outcome = "rejected"     // 4xx
	OutcomeThrottled   Outcome = "throttled"    // 429, 502, 503, 504, or another 4xx or 5xx with Retry-After
	OutcomeTimeout     Outcome = "timeout"      // no complete answer in time
	OutcomeUnreachable Outcome = "unreachable"  // no connection, or one that broke before the answer
	OutcomeVetoed      Outcome = "vetoed"       // 2xx with the content type of a veto, to a question
)

// took is true where the endpoint took the message.
func (o Outcome) took() bool { return o == OutcomeDelivered || o == OutcomeVetoed }

// The classes of errors, which say where an attempt without a usable answer
// broke off.
const (
	classBlocked  = "blocked"  // refused by the egress policy
	classBody     = "body"     // while the answer's body was read
	classCanceled = "canceled" // by the engine
	classProof    = "proof"    // a challenge was answered, and not by what proves anything
	classClosed   = "closed"   // connection closed before the answer
	classConnect  = "connect"  // no connection, for another reason than refused
	classDNS      = "dns"      // name not resolved
	classProtocol = "protocol" // an answer that is not HTTP
	classProxy    = "proxy"    // in the egress proxy
	classRefused  = "refused"  // connection refused
	classReset    = "reset"    // connection reset
	classTimeout  = "timeout"  // no answer within the attempt's time
	classTLS      = "tls"      // handshake or certificate
	classToken    = "token"    // when an OAuth2 token was asked for
	classVetoed   = "vetoed"   // nowhere: the gate's own words follow
)
