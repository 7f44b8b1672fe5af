package manifest

import (
	"strings"
	"unicode"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/subscription"
)

// subscriptionEntry is a subscription of the file.
type subscriptionEntry struct {
	field string // "subscriptions.crm"
	key   string
	spec  subscription.Spec
}

func (r *reader) subscriptions(v value, m *Manifest) {
	r.entries(v, func(key string, entry value) {
		s := subscriptionEntry{field: entry.path, key: key}
		if err := checkKey(key); err != nil {
			r.refuseAtf(r.places.of(s.field), s.field, "its key %v", err)
		}
		r.object(entry, r.spec(&s.spec), "events", "url")
		r.add(m, s)
	})
}

// add refuses a key that is there already, in the same form or in the other.
func (r *reader) add(m *Manifest, s subscriptionEntry) {
	if other, ok := r.keys[s.key]; ok && s.key != "" {
		r.refuseAtf(r.places.of(s.field), s.field, "has the key of %s", other)
	}
	r.keys[s.key] = s.field
	m.subscriptions = append(m.subscriptions, s)
}

// spec reads the fields of a subscription, which are called as those of
// subscription.Spec are.
func (r *reader) spec(s *subscription.Spec) fields {
	return fields{
		"channels":       texts(r, &s.Channels, text),
		"credentials":    func(v value) { r.credentials(v, &s.Credentials) },
		"deactivation":   func(v value) { r.deactivation(v, s) },
		"description":    text(r, &s.Description),
		"dialect":        text(r, &s.Dialect),
		"events":         texts(r, &s.Events, checked[string](event.CheckPattern)),
		"fail_closed":    flag(r, &s.FailClosed),
		"filter":         text(r, &s.Filter),
		"headers":        func(v value) { s.Headers = r.named(v, text) },
		"max_in_flight":  number(r, &s.MaxInFlight),
		"metadata":       func(v value) { s.Metadata = r.named(v, text) },
		"name":           text(r, &s.Name),
		"operator":       flag(r, &s.Operator),
		"owner":          text(r, &s.Owner),
		"paused":         flag(r, &s.Paused),
		"permission":     text(r, &s.Permission),
		"rate":           func(v value) { r.rate(v, &s.Rate) },
		"schedule":       text(r, &s.Schedule),
		"secret":         signingSecret(r, &s.Secret),
		"secret_headers": func(v value) { s.SecretHeaders = r.named(v, secret) },
		"secret_kind":    text(r, &s.SecretKind),
		"site":           sitePath(r, &s.Site),
		"timeout":        duration(r, &s.Timeout),
		"tls":            func(v value) { r.tls(v, &s.TLS) },
		"url":            text(r, &s.URL),
		"verification":   text(r, &s.Verification),
	}
}

func (r *reader) credentials(v value, to *subscription.Credentials) {
	r.object(v, fields{
		"basic": func(v value) {
			to.Basic = &subscription.BasicCredentials{}
			r.object(v, fields{"password": secret(r, &to.Basic.Password), "username": secret(r, &to.Basic.Username)}, "username")
		},
		"bearer": secret(r, &to.Bearer),
		"oauth2": func(v value) {
			to.OAuth2 = &subscription.OAuth2Credentials{}
			r.object(v, fields{
				"auth_style":    text(r, &to.OAuth2.AuthStyle),
				"client_id":     secret(r, &to.OAuth2.ClientID),
				"client_secret": secret(r, &to.OAuth2.ClientSecret),
				"params":        func(v value) { to.OAuth2.Params = r.named(v, secret) },
				"scopes":        texts(r, &to.OAuth2.Scopes, text),
				"token_url":     secret(r, &to.OAuth2.TokenURL),
			}, "client_id", "client_secret", "token_url")
		},
	})
}

func (r *reader) deactivation(v value, s *subscription.Spec) {
	s.Deactivation = &subscription.DeactivationRules{}
	r.object(v, fields{
		"attempts":         number(r, &s.Deactivation.Attempts),
		"exhausted":        number(r, &s.Deactivation.Exhausted),
		"exhausted_window": duration(r, &s.Deactivation.ExhaustedWindow),
		"failures":         number(r, &s.Deactivation.Failures),
		"unresolvable":     number(r, &s.Deactivation.Unresolvable),
		"warning":          number(r, &s.Deactivation.Warning),
		"window":           duration(r, &s.Deactivation.Window),
	})
}

func (r *reader) rate(v value, to *subscription.Rate) {
	r.object(v, fields{
		"burst":  number(r, &to.Burst),
		"events": number(r, &to.Events),
		"per":    duration(r, &to.Per),
	}, "events")
}

func (r *reader) tls(v value, to *subscription.EndpointTLS) {
	r.object(v, fields{
		"certificate": secret(r, &to.Certificate),
		"key":         secret(r, &to.Key),
		"root_cas":    secret(r, &to.RootCAs),
	})
}

// snake is the name in a file of a field in Go: "TLS.RootCAs" is "tls.root_cas".
func snake(field string) string {
	var out strings.Builder
	lower := false
	for _, c := range field {
		if unicode.IsUpper(c) && lower {
			out.WriteByte('_')
		}
		lower = unicode.IsLower(c)
		out.WriteRune(unicode.ToLower(c))
	}
	return out.String()
}
