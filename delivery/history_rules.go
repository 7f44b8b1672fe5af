package delivery

import (
	"fmt"
	"strings"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/expand"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/eventtype"
)

// HistoryRules say what is kept of what has ended, and for how long. What is
// pending is kept.
type HistoryRules struct {
	// Answers is what is kept of the bodies of answers. It holds when an attempt
	// is recorded: what is not kept is never written. Default: event.KeepBody, of which
	// Config.Limits.ResponseBytes are kept.
	Answers event.Keep

	// DedupeWindow is how long the id of an intent is remembered at least, from
	// its creation; in that time it cannot be used for another one. Ids also
	// outlive what is kept of their deliveries. Default: 90 days.
	DedupeWindow time.Duration

	// MaxAge is how long an ended delivery is kept. A deleted subscription is forgotten
	// so long after its deletion, a day at least, as soon as nothing refers to it; and
	// so is a former path of a site that has ended, as soon as no intent is older than a
	// day after its end. Default: 90 days.
	MaxAge time.Duration

	// PayloadAge is how long payloads are kept whole, from the expansion of their
	// intent on, in whole milliseconds: so long a delivery can be redelivered, but
	// for MaxAge and PerSubscription. It belongs to Payloads and needs one that is
	// not event.KeepBody. Default: 0.
	PayloadAge time.Duration

	// Payloads is what is kept of the data of an intent and of its messages when
	// all its deliveries have ended, nothing of it has failed that could be run
	// again, and PayloadAge has passed; they are reduced within a minute or two. It
	// is decided at expansion, by the rules of the engine that expands. A delivery
	// whose message is not kept cannot be redelivered ([ErrPayloadGone]). The rule that an
	// event type is registered with takes precedence over it, and Types over both.
	// Default: event.KeepBody.
	Payloads event.Keep

	// PerSubscription is how many ended deliveries of a subscription are kept,
	// the newest. Those that its last deactivation has cancelled are kept beside them, so
	// that Engine.Recover finds them. Default: 1000.
	PerSubscription int

	// RedactHeaders are names of headers, of requests and of answers, whose values
	// are never written to the history; case does not matter. They come beside
	// Authorization, Proxy-Authorization, Cookie, Set-Cookie, X-Api-Key and what a
	// subscription adds of its own. Default: none.
	RedactHeaders []string

	// Types are rules for types of events, which go before Answers and Payloads.
	// The first whose pattern matches holds. Default: none.
	Types []TypeRule
}

// TypeRule says what is kept of events of some types.
type TypeRule struct {
	// Answers is as in HistoryRules. Default: what is there.
	Answers event.Keep

	// PayloadAge is as in HistoryRules. It belongs to Payloads, without which it
	// must not be given. Default: 0.
	PayloadAge time.Duration

	// Pattern is a type or a pattern as in a subscription, such as "user.*". Only
	// an event's own type is matched, not the umbrella types that it extends. Questions
	// are matched by what is behind "before:" as well.
	Pattern string

	// Payloads is as in HistoryRules. Default: what is there.
	Payloads event.Keep
}

func (h *HistoryRules) fill() {
	def(&h.Answers, event.KeepBody)
	def(&h.DedupeWindow, 90*24*time.Hour)
	def(&h.MaxAge, 90*24*time.Hour)
	def(&h.Payloads, event.KeepBody)
	def(&h.PerSubscription, 1000)
}

// problem says what is wrong with a field; "" where nothing is.
func (h *HistoryRules) problem() string {
	switch {
	case h.DedupeWindow < 0:
		return "DedupeWindow: must not be negative"
	case h.MaxAge < 0:
		return "MaxAge: must not be negative"
	case h.PerSubscription < 0:
		return "PerSubscription: must not be negative"
	case !keeps(h.Answers):
		return fmt.Sprintf("Answers: %q is none of body, hash and nothing", h.Answers)
	case !keeps(h.Payloads):
		return fmt.Sprintf("Payloads: %q is none of body, hash and nothing", h.Payloads)
	}
	if problem := (payloadRule{h.Payloads, h.PayloadAge}).problem(); problem != "" {
		return problem
	}
	for i, name := range h.RedactHeaders {
		if !isToken(name) {
			return fmt.Sprintf("RedactHeaders[%d]: %q is not the name of a header", i, name)
		}
	}
	for i, rule := range h.Types {
		if err := event.CheckPattern(rule.Pattern); err != nil {
			return fmt.Sprintf("Types[%d].Pattern: %v", i, err)
		}
		if rule.Answers != "" && !keeps(rule.Answers) || rule.Payloads != "" && !keeps(rule.Payloads) {
			return fmt.Sprintf("Types[%d]: must keep body, hash or nothing", i)
		}
		if problem := (payloadRule{rule.Payloads, rule.PayloadAge}).problem(); problem != "" {
			return fmt.Sprintf("Types[%d].%s", i, problem)
		}
	}
	return ""
}

// keeps is true of what can be kept of a body.
func keeps(k event.Keep) bool {
	return k == event.KeepBody || k == event.KeepHash || k == event.KeepNothing
}

// payloadRule says what is kept of payloads, and how long all of it is.
type payloadRule struct {
	Payloads event.Keep
	Age      time.Duration
}

func (r payloadRule) problem() string {
	switch {
	case r.Age < 0 || r.Age%time.Millisecond != 0:
		return fmt.Sprintf("PayloadAge: %v is not a number of milliseconds from 0 on", r.Age)
	case r.Age > 0 && expand.Retention(r).Stored() == "":
		return "PayloadAge: needs Payloads of hash or nothing"
	default:
		return ""
	}
}

// of is what is kept of events of a type. registered is what the type's own
// registration says.
func (h *HistoryRules) of(eventType string, registered payloadRule) (answers event.Keep, payloads payloadRule) {
	answers, payloads = h.Answers, payloadRule{h.Payloads, h.PayloadAge}
	if registered.Payloads != "" {
		payloads = registered
	}
	name := strings.TrimPrefix(eventType, eventtype.BeforePrefix)
	for _, rule := range h.Types {
		if event.MatchPattern(rule.Pattern, eventType) || event.MatchPattern(rule.Pattern, name) {
			if rule.Answers != "" {
				answers = rule.Answers
			}
			if rule.Payloads != "" {
				payloads = payloadRule{rule.Payloads, rule.PayloadAge}
			}
			break
		}
	}
	return answers, payloads
}

// payloads is what is kept of the payloads of events of a type.
func (h *HistoryRules) payloads(eventType string, registered expand.Retention) expand.Retention {
	_, rule := h.of(eventType, payloadRule(registered))
	return expand.Retention(rule)
}

// isToken is true of what can be the name of a header (RFC 9110, section 5.1).
func isToken(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || isDelimiter[c] {
			return false
		}
	}
	return name != ""
}

var isDelimiter = func() (set [256]bool) {
	for _, c := range []byte(`"(),/:;<=>?@[\]{}`) {
		set[c] = true
	}
	return set
}()

// retention is what is recorded of the answers to events of a type.
func (c *Config) retention(eventType string) send.Retention {
	switch keep, _ := c.History.of(eventType, payloadRule{}); keep {
	case event.KeepHash:
		return send.Retention{Hash: true}
	case event.KeepNothing:
		return send.Retention{}
	default:
		return send.Retention{Bytes: max(c.Limits.ResponseBytes, 0)}
	}
}
