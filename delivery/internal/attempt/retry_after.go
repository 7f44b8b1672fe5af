package attempt

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a receiver can ask for. docs/operations.md, docs/security.md and
// docs/architecture.md name it.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is how long the receiver asks us to stay away: named by the header
// Retry-After, at most maxRetryAfter, and asked, which is the same, or throttled if the status is
// 429 or 503 and names no wait. The wait that is asked has three effects:
//
//   - on this delivery: its next attempt is not due before, whatever its schedule says
//     ([Attempt.NotBefore]). A delivery that this attempt ends has none;
//   - on the endpoint's circuit: until then no engine sends anything to the endpoint, and
//     holds its deliveries ([Transition.Asked], recorded in subscription_health, and
//     [Target.BlockedBy]). What a person wants at once is sent nevertheless;
//   - on the endpoint's slots in this process: an answer of 4xx or 5xx that names a wait
//     counts as throttled ([Classify]), which halves them.
//
// It is read with each status that answers a request. On a challenge (delivery/internal/verify)
// it has the first effect alone.
func RetryAfter(status int, header http.Header, now time.Time, throttled time.Duration) (named, asked time.Duration) {
	wait, ok := readRetryAfter(header, now)
	if !ok && (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) {
		return wait, throttled
	}
	return wait, wait
}

// NotBefore is the wait for the next attempt: that of the schedule, or the longer one that the
// endpoint has asked for.
func (a *Attempt) NotBefore(schedule time.Duration) time.Duration { return max(schedule, a.Asked) }

// readRetryAfter reads Retry-After (RFC 9110, section 10.2.3: seconds, or a date in
// any of the three forms): how long to wait, at most maxRetryAfter. A date counts from
// the answer's own Date, since both are by the receiver's clock, and without one
// from now. A date that is past counts as 0. A value that is neither names no wait.
func readRetryAfter(header http.Header, now time.Time) (wait time.Duration, named bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0, false
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}
