package attempt

import (
	"net/http"
	"time"
)

// Verdict is what an attempt came to.
type Verdict struct {
	Outcome Outcome

	// Status is the HTTP status, 0 when there was no valid one.
	Status int

	// Class says at which point an attempt without a usable answer failed; "" when the
	// status alone decided.
	Class string

	// Detail says the same in words that may be shown to the owner of the subscription:
	// no URL, no resolved address, no resolver.
	Detail string

	// Reason is for the operator alone: why the egress policy refused, with the
	// address, or what is wrong with the egress proxy; "" for everything else.
	Reason string

	// RetryAfter is how long the receiver asked us to stay away, 0 when it did not; Asked
	// is how long we do. See RetryAfter, the function.
	RetryAfter time.Duration
	Asked      time.Duration
}

// Classify says what a status of HTTP with the headers of its answer means. throttled is
// for RetryAfter.
func Classify(status int, header http.Header, now time.Time, throttled time.Duration) Verdict {
	v := Verdict{Status: status}
	v.RetryAfter, v.Asked = RetryAfter(status, header, now, throttled)
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
	case status == http.StatusGone:
		v.Outcome = OutcomeGone
	case isThrottle(status) || v.RetryAfter > 0:
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
	a.RetryAfter = v.RetryAfter
	a.Asked = v.Asked
	if v.Detail != "" {
		a.Error = v.Class + ": " + v.Detail
	}
}
