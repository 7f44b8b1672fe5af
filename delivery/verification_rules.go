package delivery

import (
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/subscription"
)

// VerificationRules say how endpoints prove that they want requests; see
// subscription.Verification.
type VerificationRules struct {
	// Interval is the least time between two challenges to the endpoint of one
	// subscription, whatever its URL is meanwhile and whoever starts them. At least
	// 1 ms. Default: 10 s.
	Interval time.Duration

	// HostInterval is the least time between two challenges to one host, for all
	// subscriptions and engines together. Default: 1 s. A negative value means no
	// interval. It is for tests whose endpoints are all on one host: with it, users of an
	// application could have requests sent to any host as often as they like.
	HostInterval time.Duration

	// Origin is the DNS name of this system, such as "hooks.example.com", for which the
	// handshake of CloudEvents asks. Every request carries it in the header
	// WebHook-Request-Origin. Default: none, and no such handshake.
	Origin string

	// Require is the method by which the URLs of subscriptions of
	// Engine.Subscriptions must be proven where they name none. One that proves less
	// is refused (see subscription.Config). Default: they need no proof.
	Require subscription.Verification

	// Schedule says when an endpoint that proved nothing gets the next challenge. If the
	// process ends each time before the answer is recorded, there are three more tries.
	// After the last one only Engine.VerifyEndpoint sends a challenge. Default: 8 tries,
	// after 10 s, 1 min, 5 min, 30 min, 2 h, 6 h and 15 h, jitter +-20 %.
	Schedule Schedule
}

func (r *VerificationRules) fill() {
	def(&r.HostInterval, time.Second)
	def(&r.Interval, 10*time.Second)
	if r.Schedule.Delays == nil {
		r.Schedule = Schedule{Jitter: 0.2, Delays: []time.Duration{
			10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour,
		}}
	}
}

// hostInterval is HostInterval as the store counts it.
func (r *VerificationRules) hostInterval() time.Duration { return max(r.HostInterval, 0) }

// problem is what is wrong with the rules; "" if nothing is.
func (r *VerificationRules) problem() string {
	switch err := r.Schedule.validate(); {
	case err != nil:
		return "Schedule: " + err.Error()
	case r.Interval < time.Millisecond:
		return "Interval: " + tooShort(r.Interval)
	case !isDNSName(r.Origin):
		return "Origin: must be a DNS name"
	case r.Require != "" && !slices.Contains(r.methods(), r.Require):
		return "Require: must be a method that this engine knows; " + string(subscription.VerificationCloudEvents) + " needs an Origin"
	default:
		return ""
	}
}

// methods are those by which this engine can verify.
func (r *VerificationRules) methods() []subscription.Verification {
	all := subscription.Verifications()
	if r.Origin == "" {
		all = slices.DeleteFunc(all, func(v subscription.Verification) bool { return v == subscription.VerificationCloudEvents })
	}
	return all
}

// isDNSName is true of "" too.
func isDNSName(s string) bool {
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}
