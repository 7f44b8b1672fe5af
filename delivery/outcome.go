package delivery

import "github.com/riverhook/riverhook/delivery/internal/attempt"

// Outcome is the result of one attempt.
type Outcome = attempt.Outcome

// The outcomes. Only Delivered ends a delivery well, and Vetoed that of a question;
// Gone also deactivates the subscription; the others are followed by the schedule's
// next attempt, if any, of which questions have none.
const (
	OutcomeBlocked     = attempt.OutcomeBlocked     // the egress policy refused; nothing was sent
	OutcomeDelivered   = attempt.OutcomeDelivered   // 2xx
	OutcomeFailed      = attempt.OutcomeFailed      // 5xx, or an answer that is not HTTP, or one that does not prove what was asked
	OutcomeGone        = attempt.OutcomeGone        // 410
	OutcomeInterrupted = attempt.OutcomeInterrupted // the engine stopped while it waited for the answer
	OutcomeProxyFailed = attempt.OutcomeProxyFailed // the egress proxy failed; the endpoint was not reached, and nothing counts against it
	OutcomeRedirected  = attempt.OutcomeRedirected  // 3xx, never followed
	OutcomeRejected    = attempt.OutcomeRejected    // 4xx
	OutcomeThrottled   = attempt.OutcomeThrottled   // 429, 502, 503, 504, or another 4xx or 5xx with Retry-After
	OutcomeTimeout     = attempt.OutcomeTimeout     // no complete answer in time
	OutcomeUnreachable = attempt.OutcomeUnreachable // no connection, or one that broke before the answer
	OutcomeVetoed      = attempt.OutcomeVetoed      // 2xx with the content type of a veto, to a question
)
