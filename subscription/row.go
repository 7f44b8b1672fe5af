package subscription

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/store"
)

// newSubscription is a specification that was found good.
type newSubscription struct {
	sub    Subscription
	given  Update // what is stored sealed
	secret Secret
	sealed *sealedSecret
	auth   *sealedAuth
}

func (n *newSubscription) params() *store.InsertSubscriptionParams {
	s := &n.sub
	return &store.InsertSubscriptionParams{
		ID:                 s.ID,
		Name:               s.Name,
		Description:        s.Description,
		Site:               string(s.Site),
		URL:                s.URL,
		Events:             s.Events,
		Channels:           texts(s.Channels),
		Filter:             s.Filter,
		Owner:              s.Owner,
		Operator:           s.Operator,
		Permission:         s.Permission,
		Dialect:            s.Dialect,
		Headers:            object(s.Headers),
		Schedule:           s.Schedule,
		TimeoutMs:          int(s.Timeout.Milliseconds()),
		FailClosed:         s.FailClosed,
		MaxInFlight:        s.MaxInFlight,
		RateEvents:         s.Rate.Events,
		RatePerMs:          int(s.Rate.Per.Milliseconds()),
		RateBurst:          s.Rate.Burst,
		Deactivation:       deactivationText(s.Deactivation),
		HearsOperations:    hearsOperations(s),
		Metadata:           object(s.Metadata),
		State:              string(s.State),
		Credentials:        string(s.Credentials),
		OwnRootCas:         s.OwnRootCAs,
		ClientCertificate:  s.ClientCertificate,
		SecretHeaders:      namesOf(s.SecretHeaders),
		SecretHeaderBytes:  s.secretHeaderBytes,
		CredentialsVersion: s.CredentialsVersion,
		Verification:       string(s.Verification),
		PublicKey:          n.secret.PublicKey().String(),
		Sealed:             n.sealed.value.Sealed,
		Secret:             n.sealed.value.Bytes,
		SecretID:           n.sealed.id,
	}
}

func updateParams(s *Subscription, formerURL string) *store.UpdateSubscriptionParams {
	return &store.UpdateSubscriptionParams{
		ID:                 s.ID,
		Name:               s.Name,
		Description:        s.Description,
		Site:               string(s.Site),
		URL:                s.URL,
		Elsewhere:          !sameOrigin(formerURL, s.URL),
		Events:             s.Events,
		Channels:           texts(s.Channels),
		Filter:             s.Filter,
		Permission:         s.Permission,
		Dialect:            s.Dialect,
		Headers:            object(s.Headers),
		Schedule:           s.Schedule,
		TimeoutMs:          int(s.Timeout.Milliseconds()),
		FailClosed:         s.FailClosed,
		MaxInFlight:        s.MaxInFlight,
		RateEvents:         s.Rate.Events,
		RatePerMs:          int(s.Rate.Per.Milliseconds()),
		RateBurst:          s.Rate.Burst,
		Deactivation:       deactivationText(s.Deactivation),
		HearsOperations:    hearsOperations(s),
		Metadata:           object(s.Metadata),
		Credentials:        string(s.Credentials),
		OwnRootCas:         s.OwnRootCAs,
		ClientCertificate:  s.ClientCertificate,
		SecretHeaders:      namesOf(s.SecretHeaders),
		SecretHeaderBytes:  s.secretHeaderBytes,
		CredentialsVersion: s.CredentialsVersion,
		Verification:       string(s.Verification),
		VerifiedAt:         s.VerifiedAt,
		VerificationError:  s.VerificationError,
		PendingURL:         s.PendingURL,
		Stranded:           s.stranded,
	}
}

// hearsOperations says whether a subscription can hear of events that are
// Riverhook's own.
func hearsOperations(s *Subscription) bool {
	return s.Operator && slices.ContainsFunc(s.Events, func(pattern string) bool {
		first, _, _ := strings.Cut(pattern, ".")
		return first == "**" || first == "*" || first+"." == eventtype.ReservedPrefix
	})
}

func subscriptionOf(row store.Subscription) (*Subscription, error) {
	sub := &Subscription{
		ID:                row.ID,
		Name:              row.Name,
		Manifest:          row.Manifest,
		ManifestKey:       row.ManifestKey,
		Description:       row.Description,
		Site:              hierarchy.Path(row.Site),
		URL:               row.URL,
		PendingURL:        row.PendingURL,
		Verification:      Verification(row.Verification),
		VerifiedAt:        row.VerifiedAt,
		VerificationError: row.VerificationError,
		Events:            row.Events,
		Filter:            row.Filter,
		Owner:             row.Owner,
		Operator:          row.Operator,
		Permission:        row.Permission,
		Dialect:           row.Dialect,
		Schedule:          row.Schedule,
		Timeout:           time.Duration(row.TimeoutMs) * time.Millisecond,
		FailClosed:        row.FailClosed,
		MaxInFlight:       row.MaxInFlight,
		Rate: Rate{
			Events: row.RateEvents,
			Per:    time.Duration(row.RatePerMs) * time.Millisecond,
			Burst:  row.RateBurst,
		},
		Credentials:        CredentialsKind(row.Credentials),
		OwnRootCAs:         row.OwnRootCas,
		ClientCertificate:  row.ClientCertificate,
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		SecretHeaders:      redactedHeaders(row.SecretHeaders),
		secretHeaderBytes:  row.SecretHeaderBytes,
		State:              State(row.State),
		StateReason:        row.StateReason,
		StateSince:         row.StateSince,
		Epoch:              row.Epoch,
		CreatedAt:          row.CreatedAt,
		UpdatedAt:          row.UpdatedAt,
		DeletedAt:          row.DeletedAt,
		stranded:           row.Stranded,
	}
	if len(row.Channels) > 0 {
		sub.Channels = row.Channels
	}
	var err error
	if sub.Headers, err = mapOf(row.Headers); err != nil {
		return nil, err
	}
	if sub.Deactivation, err = deactivationOf(row.Deactivation); err != nil {
		return nil, err
	}
	if sub.Metadata, err = mapOf(row.Metadata); err != nil {
		return nil, err
	}
	return sub, nil
}

func subscriptionsOf(rows []store.Subscription) ([]Subscription, error) {
	subs := make([]Subscription, len(rows))
	for i, row := range rows {
		sub, err := subscriptionOf(row)
		if err != nil {
			return nil, err
		}
		subs[i] = *sub
	}
	return subs, nil
}

// object is a map of texts as JSON; no map is an empty one.
func object(m map[string]string) string {
	if len(m) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(m) //nolint:errchkjson // texts always encode
	return string(text)
}

func mapOf(text json.RawMessage) (map[string]string, error) {
	if string(text) == "{}" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// namesOf is never nil, which would be NULL.
func namesOf(headers map[string]string) []string {
	return slices.AppendSeq(make([]string, 0, len(headers)), maps.Keys(headers))
}

func redactedHeaders(names []string) map[string]string {
	if len(names) == 0 {
		return nil
	}
	headers := make(map[string]string, len(names))
	for _, name := range names {
		headers[name] = redacted
	}
	return headers
}

// texts is never nil, which would be NULL.
func texts(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
