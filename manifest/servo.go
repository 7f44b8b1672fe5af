package manifest

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/servo"
	"github.com/riverhook/riverhook/subscription"
)

const (
	servoDialect = "servo"
	noRetries    = "none"
)

// servoOptions are what the form of servo-webhooks has no place for.
type servoOptions struct {
	owner string // "": operator
	site  hierarchy.Path
}

func (r *reader) servo(v value, to *servoOptions) {
	r.object(v, fields{"owner": text(r, &to.owner), "site": sitePath(r, &to.site)})
}

// webhooks reads the form of servo-webhooks: a list, of which an entry is known by
// its name.
func (r *reader) webhooks(v value) []subscriptionEntry {
	var all []subscriptionEntry
	r.list(v, func(_ int, entry value) {
		s := subscriptionEntry{field: entry.path, spec: subscription.Spec{Dialect: servoDialect, Schedule: servo.DefaultName}}
		before := len(r.errs)
		r.object(entry, fields{
			"backoff":     func(v value) { r.backoff(v, &s.spec.Schedule) },
			"channels":    oneOrMore(r, &s.spec.Channels, text),
			"description": text(r, &s.spec.Description),
			"events":      oneOrMore(r, &s.spec.Events, servoEvent),
			"headers":     func(v value) { r.servoHeaders(v, &s.spec) },
			"name":        checked[string](checkKey)(r, &s.spec.Name),
			"response_channel": func(v value) {
				r.refusef(v, "is not supported: what an endpoint answers is kept in the history and published nowhere")
			},
			"secret": signingSecret(r, &s.spec.Secret),
			"url":    text(r, &s.spec.URL),
		}, "name", "secret", "url")
		events, channels := len(s.spec.Events) > 0, len(s.spec.Channels) > 0
		switch {
		case len(r.errs) > before:
		case events && channels:
			r.refusef(entry, "has both events and channels, which are two sources: make two webhooks of it")
		case !events && !channels:
			r.refusef(entry, "missing webhook data source: events and channels cannot both be empty")
		case channels:
			s.spec.Events = []string{"**"}
		}
		s.key = s.spec.Name
		all = append(all, s)
	})
	return all
}

// with completes a subscription by the options.
func (s subscriptionEntry) with(o servoOptions) subscriptionEntry {
	s.spec.Owner = o.owner
	s.spec.Operator = o.owner == ""
	s.spec.Site = o.site
	return s
}

// servoEvent reads "before:NAME", which is a pattern of questions, and "after:NAME",
// which is the event type after.NAME: the dialect writes it with the colon.
func servoEvent(r *reader, to *string) func(value) {
	return func(v value) {
		given, ok := r.plain(v)
		if !ok {
			return
		}
		when, name, _ := strings.Cut(given, ":")
		if when != "before" && when != "after" || event.CheckType(when+"."+name) != nil {
			r.refusef(v, `must be "before:NAME" or "after:NAME", where a name has a-z, 0-9 and "_"`)
			return
		}
		if *to = given; when == "after" {
			*to = "after." + name
		}
	}
}

// servoHeaders reads headers, and seals those that have a variable.
func (r *reader) servoHeaders(v value, s *subscription.Spec) {
	s.Headers, s.SecretHeaders = map[string]string{}, map[string]string{}
	r.entries(v, func(name string, entry value) {
		text, ok := r.scalar(entry)
		if !ok {
			return
		}
		if !hasVariable(text) {
			s.Headers[name] = text
			return
		}
		secret(r, &text)(entry)
		s.SecretHeaders[name] = text
	})
}

// backoff reads what servo-webhooks lets be configured, as the name of a schedule that
// engines understand.
func (r *reader) backoff(v value, schedule *string) {
	if v.kind() == yaml.ScalarNode {
		retries := true
		flag(r, &retries)(v)
		if retries {
			r.refusef(v, "must be false, or a mapping of max_time and max_tries")
		}
		*schedule = noRetries
		return
	}
	b := servo.Backoff{Tries: servo.DefaultTries, Time: servo.DefaultTime}
	before := len(r.errs)
	r.object(v, fields{"max_time": duration(r, &b.Time), "max_tries": number(r, &b.Tries)})
	if problem := b.Check(); problem != "" && len(r.errs) == before {
		r.refusef(v, "%s", problem)
	}
	*schedule = b.Name()
}

// oneOrMore reads a text or a list of texts.
func oneOrMore[T ~string](r *reader, to *[]T, one func(*reader, *T) func(value)) func(value) {
	return func(v value) {
		if v.kind() != yaml.ScalarNode {
			texts(r, to, one)(v)
			return
		}
		var s T
		one(r, &s)(v)
		*to = []T{s}
	}
}
