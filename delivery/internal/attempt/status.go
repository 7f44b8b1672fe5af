package attempt

import "net/http"

// Verdict is what an attempt came to.
type Verdict struct {
	Outcome Outcome

	// Class says at which point an attempt without a usable answer failed; "" when the
	// status alone decided.
	Class string

	// Detail says the same in words that may be shown to the owner of the subscription:
	// no URL, no resolved address, no resolver.
	Detail string

	// Reason is for the operator alone: why the egress policy refused, with the
	// address, or what is wrong with the egress proxy; "" for everything else.
	Reason string
}

// Classify says what a status of HTTP means, whose answer names a wait, or does not (see
// [RetryAfter]).
func Classify(status int, waits bool) (v Verdict) {
	switch {
	case status < 200 || status > 599:
		// 101 is the only 1xx that net/http hands on; we never asked to switch.
		v.Outcome = OutcomeFailed
		v.Class = ClassProtocol
		v.Detail = "the status is not one that ends a request"
	case status <= 299:
		v.Outcome = OutcomeDelivered
	case status <= 399:
		v.Outcome = OutcomeRedirected
	case status == http.StatusGone: // ends the delivery (Target.After); maintain.Deactivator deactivates the subscription
		v.Outcome = OutcomeGone
	case isThrottle(status) || waits:
		v.Outcome = OutcomeThrottled
	case status <= 499:
		v.Outcome = OutcomeRejected
	default:
		v.Outcome = OutcomeFailed
	}
	return v
}

func isThrottle(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// Conclude enters what the request of an attempt came to.
func (a *Attempt) Conclude(v Verdict) {
	a.Outcome = v.Outcome
	a.Reason = v.Reason
	if v.Detail != "" {
		a.Error = v.Class + ": " + v.Detail
	}
}
