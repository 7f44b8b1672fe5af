package send

import (
	"maps"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/subscription"
)

// Input is what an attempt is made from: its target, and how this process makes it.
type Input struct {
	attempt.Target

	Auth     *credentials.Endpoint // opened right before the request
	By       *callbacks.Caller     // how host code is called
	Payloads *payloads.Held        // has what is loaded later; nil: everything is loaded

	bodyBytes, dataBytes int // of what is loaded later
}

// Headers are those that the subscription adds, the sealed ones among them.
func (in *Input) Headers() map[string]string {
	secret := in.Auth.Headers()
	if len(secret) == 0 {
		return in.Sub.Headers
	}
	all := make(map[string]string, len(in.Sub.Headers)+len(secret))
	maps.Copy(all, in.Sub.Headers)
	maps.Copy(all, secret)
	return all
}

// Subscription is a subscription with what an attempt needs of it, no more: many inputs
// of a large fan-out wait for their turn.
func Subscription(s *subscription.Subscription) attempt.Subscription {
	return withState(attempt.Subscription{
		ID:                 s.ID,
		Site:               string(s.Site),
		URL:                s.URL,
		PendingURL:         s.PendingURL,
		Owner:              s.Owner,
		Operator:           s.Operator,
		Permission:         s.Permission,
		Headers:            s.Headers,
		Schedule:           s.Schedule,
		Timeout:            s.Timeout,
		MaxInFlight:        s.MaxInFlight,
		Rate:               attempt.NewRate(s.Rate.Events, s.Rate.Per, s.Rate.Burst),
		CredentialsVersion: s.CredentialsVersion,
		URLVersion:         s.URLVersion,
		Epoch:              s.Epoch,
		Deleted:            s.DeletedAt != nil,
	}, s.State, s.StateReason)
}

// withState enters what the state of a subscription means for its deliveries.
func withState(s attempt.Subscription, state subscription.State, reason string) attempt.Subscription {
	switch {
	case s.Deleted:
		s.Ended = "the subscription was deleted"
	case state == subscription.StateDeactivated:
		s.Ended = attempt.DeactivatedReason(reason)
	case state == subscription.StatePaused:
		s.Waits = "the subscription is paused"
	case state == subscription.StatePendingVerification:
		s.Waits = attempt.UnverifiedReason(reason)
	}
	return s
}
