package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

// given are the values of a specification that are stored sealed, if it has any.
func (s Spec) given() (u Update) {
	if s.Credentials != (Credentials{}) {
		u.Credentials = &s.Credentials
	}
	if len(s.SecretHeaders) > 0 {
		u.SecretHeaders = &s.SecretHeaders
	}
	if s.TLS != (EndpointTLS{}) {
		u.TLS = &s.TLS
	}
	return u
}

// sealedValues are what an update gives of what is stored sealed, by kind. nil
// removes what there is.
func (u Update) sealedValues() map[string]any {
	values := map[string]any{}
	if u.Credentials != nil {
		values[endpointauth.KindCredentials] = nil
		if u.Credentials.Kind() != "" {
			values[endpointauth.KindCredentials] = u.Credentials.stored()
		}
	}
	if u.SecretHeaders != nil {
		values[endpointauth.KindHeaders] = nil
		if len(*u.SecretHeaders) > 0 {
			values[endpointauth.KindHeaders] = *u.SecretHeaders
		}
	}
	if u.TLS != nil {
		values[endpointauth.KindTLS] = nil
		if *u.TLS != (EndpointTLS{}) {
			values[endpointauth.KindTLS] = u.TLS.stored()
		}
	}
	return values
}

// sealedAuth are values as they are to be stored: nil where there are none.
type sealedAuth struct {
	*store.SetEndpointAuthParams

	url string // whose origin they are sealed for; "" where none of them is bound to it
}

// errMeanwhile means that a subscription was changed by others between two steps of
// one change.
var errMeanwhile = errors.New("the subscription was changed meanwhile")

// sealAuth seals what an update gives: nil where it gives nothing of that kind. It is
// called before a connection is taken.
func (h *Handle) sealAuth(ctx context.Context, db store.DBTX, id uuid.UUID, u Update) (*sealedAuth, error) {
	values := u.sealedValues()
	if len(values) == 0 {
		return nil, nil
	}
	a := &sealedAuth{SetEndpointAuthParams: &store.SetEndpointAuthParams{
		SubscriptionID: id,
		Removed:        []string{},
		Ids:            []string{},
		Kinds:          []string{},
		Stored:         [][]byte{},
		IsSealed:       []bool{},
	}}
	if values[endpointauth.KindCredentials] != nil || values[endpointauth.KindHeaders] != nil {
		switch {
		case u.URL != nil:
			a.url = *u.URL
		default:
			sub, err := h.fetch(ctx, db, id)
			if err != nil {
				return nil, err
			}
			a.url = sub.URL
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(values)) {
		if err := h.sealValue(ctx, a, kind, values[kind]); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// sealValue adds a value, or its removal where it is nil.
func (h *Handle) sealValue(ctx context.Context, a *sealedAuth, kind string, value any) error {
	if value == nil {
		a.Removed = append(a.Removed, kind)
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	sealedValue, err := h.box.Seal(ctx, sealed.EndpointAuth(kind, id, a.SubscriptionID, a.url), text)
	if err != nil {
		return err
	}
	a.Ids = append(a.Ids, id.String())
	a.Kinds = append(a.Kinds, kind)
	a.Stored = append(a.Stored, sealedValue.Bytes)
	a.IsSealed = append(a.IsSealed, sealedValue.Sealed)
	return nil
}

// storeAuth stores what was sealed for the URL that is in force now.
func (h *Handle) storeAuth(ctx context.Context, tx pgx.Tx, a *sealedAuth, rawURL string) error {
	switch {
	case a == nil:
		return nil
	case a.url != "" && !sameOrigin(a.url, rawURL):
		return errMeanwhile
	}
	return h.in(tx).SetEndpointAuth(ctx, a.SetEndpointAuthParams)
}

// checkCarried checks what the fields of a subscription, with the update in them,
// mean for one another: each header is there once, and credentials and sealed
// headers go where they were meant to go.
func (u Update) checkCarried(sub *Subscription, formerURL string) error {
	if err := u.checkAllHeaders(sub); err != nil {
		return err
	}
	invalid := func(field, reason string) error { return &InvalidError{Field: field, Reason: reason} }
	const goesElsewhere = "must be given again, or removed: URL leads to another host"
	moved := !sameOrigin(formerURL, sub.URL)
	switch {
	case sub.Credentials != "" && hasAuthorization(sub.Headers):
		return invalid("Credentials", "must be empty: Headers has Authorization")
	case sub.Credentials != "" && hasAuthorization(sub.SecretHeaders):
		return invalid("Credentials", "must be empty: SecretHeaders has Authorization")
	case sub.Credentials != "" && moved && u.Credentials == nil:
		return invalid("Credentials", goesElsewhere)
	case len(sub.SecretHeaders) > 0 && moved && u.SecretHeaders == nil:
		return invalid("SecretHeaders", goesElsewhere)
	}
	return nil
}

func hasAuthorization(headers map[string]string) bool {
	for name := range headers {
		if strings.EqualFold(name, "Authorization") {
			return true
		}
	}
	return false
}

// sameOrigin is whether two URLs have the same scheme, host and port (RFC 6454,
// section 5). A port that is not named is that of the scheme.
func sameOrigin(a, b string) bool {
	origin := endpointauth.Origin(a)
	return origin != "" && origin == endpointauth.Origin(b)
}
