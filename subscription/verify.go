package subscription

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/internal/text"
)

// MarkVerified says that a URL of a subscription is proven, without asking its
// endpoint: its owner is known to want it. rawURL is the one that waits for its
// proof, PendingURL or else URL; it comes in force as if its endpoint had proven it.
// The error is [ErrNotFound] when that URL does not wait, also because another has
// taken its place. It is a right of the operator's: it takes the proof's place.
func (s *Store) MarkVerified(ctx context.Context, id uuid.UUID, rawURL string) error {
	return s.change(ctx, "mark verified", func(tx pgx.Tx) error { return s.markVerified(ctx, tx, id, rawURL) })
}

func (s *Store) markVerified(ctx context.Context, tx pgx.Tx, id uuid.UUID, rawURL string) error {
	ascii, err := asciiURL(rawURL)
	if err != nil {
		return err
	}
	if err := text.Check(ascii, maxURL); err != nil {
		return fmt.Errorf("URL: %w", err)
	}
	if _, err := s.lock(ctx, tx, id); err != nil {
		return err
	}
	proven, err := s.in(tx).RecordProof(ctx, &store.RecordProofParams{SubscriptionID: id, URL: ascii})
	if err == nil && len(proven) == 0 {
		err = fmt.Errorf("subscription %s, with that URL waiting to be proven: %w", id, ErrNotFound)
	}
	return err
}

// unproven is true where the URL must be proven and was not.
func (s Subscription) unproven() bool { return s.Verification != "" && s.VerifiedAt == nil }

// inForce is true where requests go to the URL, or will without more ado.
func (s Subscription) inForce() bool {
	return s.State == StateActive || s.State == StatePaused && !s.unproven()
}

// toBeProven is the URL whose endpoint is to be asked: "" where there is none.
func (s Subscription) toBeProven() string {
	switch {
	case s.PendingURL != "":
		return s.PendingURL
	case s.unproven() && !s.inForce():
		return s.URL
	default:
		return ""
	}
}

// settleNew puts a new subscription, which is active or paused, into the state from
// which it starts.
func (c Config) settleNew(sub *Subscription) {
	if sub.Verification == "" {
		sub.Verification = c.RequireVerification
	}
	if sub.unproven() && sub.State == StateActive {
		sub.State = StatePendingVerification
	}
}

// settleURL works out what an update, which has been applied to sub, means for the
// URL that is in force and for the one that is to be proven. It returns whether that
// one, or the way to prove it, is another than before.
func (c Config) settleURL(u Update, former Subscription, sub *Subscription) (challenged bool, err error) {
	changes := u.URL != nil && *u.URL != former.URL
	if sub.Verification.strength() < c.RequireVerification.strength() && (u.Verification != nil || changes) {
		sub.Verification = c.RequireVerification
	}
	if sub.Verification == "" {
		if former.toBeProven() != "" {
			return false, &InvalidError{Field: "Verification", Reason: "must not be empty while a URL is to be proven"}
		}
		if changes {
			sub.VerifiedAt = nil
		}
		return false, nil
	}
	switch {
	case changes && former.inForce():
		sub.URL, sub.PendingURL = former.URL, *u.URL
		if err := u.checkPending(former.URL, *u.URL); err != nil {
			return false, err
		}
	case changes:
		sub.PendingURL, sub.VerifiedAt = "", nil
	case u.URL != nil:
		sub.PendingURL = ""
	}
	challenged = sub.toBeProven() != former.toBeProven() ||
		sub.toBeProven() != "" && (sub.URL != former.URL || sub.Verification != former.Verification)
	if challenged {
		sub.VerificationError = ""
	}
	return challenged, nil
}

// checkPending refuses credentials that would be sent to the former host.
func (u Update) checkPending(formerURL, pending string) error {
	const reason = "must be given when URL is proven: it leads to another host, and the former one is in force until then"
	switch {
	case sameOrigin(formerURL, pending):
		return nil
	case u.Credentials != nil && u.Credentials.Kind() != "":
		return &InvalidError{Field: "Credentials", Reason: reason}
	case u.SecretHeaders != nil && len(*u.SecretHeaders) > 0:
		return &InvalidError{Field: "SecretHeaders", Reason: reason}
	default:
		return nil
	}
}

// setChallenge has the endpoint of the URL that is to be proven asked, from the
// beginning; what was asked before proves nothing any more.
func (h *Handle) setChallenge(ctx context.Context, tx pgx.Tx, sub *Subscription) error {
	p := &store.SetChallengeParams{SubscriptionID: sub.ID, URL: sub.toBeProven()}
	if p.URL != "" {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		u, err := url.Parse(p.URL)
		if err != nil {
			return err
		}
		p.ID = &id
		p.Host = strings.ToLower(u.Host)
		p.Elsewhere = !sameOrigin(sub.URL, p.URL)
		p.Due = sub.State == StatePendingVerification || sub.PendingURL != "" && sub.State != StateDeactivated
	}
	return h.in(tx).SetChallenge(ctx, p)
}
