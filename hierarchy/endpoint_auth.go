package hierarchy

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/endpointauth"
	"github.com/riverhook/riverhook/internal/sealed"
	"github.com/riverhook/riverhook/internal/store"
)

// given are the credentials and TLS settings of a specification that has any.
func (s SubscriptionSpec) given() (u SubscriptionUpdate) {
	if s.Credentials != (Credentials{}) {
		u.Credentials = &s.Credentials
	}
	if s.TLS != (EndpointTLS{}) {
		u.TLS = &s.TLS
	}
	return u
}

// sealAuth seals what an update gives of credentials and TLS settings: nil where it
// gives neither. It is called before a connection is taken.
func (s *Subscriptions) sealAuth(ctx context.Context, id uuid.UUID, u SubscriptionUpdate) (*store.SetEndpointAuthParams, error) {
	if u.Credentials == nil && u.TLS == nil {
		return nil, nil
	}
	p := &store.SetEndpointAuthParams{
		SubscriptionID: id, Removed: []string{}, Ids: []string{}, Kinds: []string{}, Stored: [][]byte{}, IsSealed: []bool{},
	}
	if u.Credentials != nil {
		var value any
		if u.Credentials.Kind() != "" {
			value = u.Credentials.stored()
		}
		if err := s.sealValue(ctx, p, endpointauth.KindCredentials, value); err != nil {
			return nil, err
		}
	}
	if u.TLS != nil {
		var value any
		if *u.TLS != (EndpointTLS{}) {
			value = u.TLS.stored()
		}
		if err := s.sealValue(ctx, p, endpointauth.KindTLS, value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// sealValue adds a value, or its removal where it is nil.
func (s *Subscriptions) sealValue(ctx context.Context, p *store.SetEndpointAuthParams, kind string, value any) error {
	if value == nil {
		p.Removed = append(p.Removed, kind)
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
	sealedValue, err := s.box.Seal(ctx, sealed.EndpointAuth(kind, id, p.SubscriptionID), text)
	if err != nil {
		return err
	}
	p.Ids = append(p.Ids, id.String())
	p.Kinds = append(p.Kinds, kind)
	p.Stored = append(p.Stored, sealedValue.Bytes)
	p.IsSealed = append(p.IsSealed, sealedValue.Sealed)
	return nil
}

func (s *Subscriptions) storeAuth(ctx context.Context, tx pgx.Tx, p *store.SetEndpointAuthParams) error {
	if p == nil {
		return nil
	}
	return s.in(tx).SetEndpointAuth(ctx, p)
}

// checkCarried checks what the fields of a subscription, with the update in them,
// mean for one another: its credentials go where they were meant to go, and stand
// alone in their header.
func (u SubscriptionUpdate) checkCarried(sub *Subscription, formerURL string) error {
	if sub.Credentials == "" {
		return nil
	}
	for name := range sub.Headers {
		if strings.EqualFold(name, "Authorization") {
			return &InvalidSubscriptionError{Field: "Credentials", Reason: "must be empty: Headers has Authorization"}
		}
	}
	if u.Credentials == nil && !sameOrigin(formerURL, sub.URL) {
		return &InvalidSubscriptionError{Field: "Credentials", Reason: "must be given again, or removed: URL leads to another host"}
	}
	return nil
}

func sameOrigin(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host)
}
