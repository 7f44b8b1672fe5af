package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

const (
	// maxAsking is the most endpoints that an engine asks at the same time by itself.
	maxAsking = 64

	// proofTimeout is the most time that an endpoint has for its answer, and askTimeout
	// that of the whole question, in which it can wait for its turn in this process.
	// Then others may ask.
	proofTimeout = 30 * time.Second
	askTimeout   = 45 * time.Second
	claimTime    = askTimeout + writeTimeout

	// maxAskingHost is the most questions to one host at the same time, over all
	// engines: one that does not answer leaves the others of maxAsking.
	maxAskingHost = 4

	// idleRows is how many endpoints that are not to be asked any more one statement
	// puts off.
	idleRows = 500
)

// ErrAskedRecently means that the endpoint of a subscription, or its host, was asked a
// moment ago or is being asked: try again after VerificationRules.Interval, or
// HostInterval.
var ErrAskedRecently = errors.New("the endpoint was asked a moment ago")

// VerifyEndpoint asks the endpoint of a subscription to prove that it wants requests,
// at once and whatever the schedule says, and returns what came of it: the URL that
// waited for its proof is in force if and only if the outcome is delivered. Otherwise
// the schedule of Config.Verification begins anew. An engine does the same by itself;
// this is for the person who waits for it.
//
// As with Ping, the attempt is not recorded, counts neither for nor against the
// endpoint, and goes through the same egress policy; a request that failed is no
// error. The error is ErrNotFound also when no URL waits to be proven, or when another
// took its place while the request was under way, and ErrAskedRecently.
func (e *Engine) VerifyEndpoint(ctx context.Context, subscription uuid.UUID) (*Attempt, error) {
	a, err := e.verifyEndpoint(ctx, subscription)
	if err != nil {
		return nil, fmt.Errorf("delivery: verify the endpoint of subscription %s: %w", subscription, err)
	}
	return publicAttempt(a, e.cfg.ID)
}

func (e *Engine) verifyEndpoint(ctx context.Context, id uuid.UUID) (*attempt.Attempt, error) {
	rows, err := e.store.ClaimChallenge(ctx, &store.ClaimChallengeParams{
		SubscriptionID: id,
		ClaimMs:        claimTime.Milliseconds(),
		HostMs:         e.cfg.Verification.hostInterval().Milliseconds(),
		IntervalMs:     e.cfg.Verification.Interval.Milliseconds(),
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		return e.challenge(ctx, newChallenge(rows[0]))
	}
	waiting, err := e.store.IsChallenged(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case len(waiting) == 0:
		return nil, fmt.Errorf("%w: no URL waits to be proven", ErrNotFound)
	default:
		return nil, ErrAskedRecently
	}
}

// challengeDue asks the endpoints that are due, as many as may be asked at the same
// time, each in a goroutine of spawn. It returns how many.
func (e *Engine) challengeDue(ctx context.Context, spawn func(func())) (int, error) {
	free := cap(e.asking) - len(e.asking)
	if free == 0 {
		return 0, nil
	}
	rows, err := e.frequent.ClaimChallenges(ctx, &store.ClaimChallengesParams{
		ClaimMs:    claimTime.Milliseconds(),
		HostMs:     e.cfg.Verification.hostInterval().Milliseconds(),
		IntervalMs: e.cfg.Verification.Interval.Milliseconds(),
		MaxAsked:   maxAskingHost,
		IdleRows:   idleRows,
		MaxRows:    free,
	})
	if err != nil {
		return 0, fmt.Errorf("delivery: claim challenges: %w", err)
	}
	for _, row := range rows {
		e.asking <- struct{}{}
		spawn(func() {
			defer func() { <-e.asking }()
			if _, err := e.challenge(ctx, newChallenge(row)); err != nil && ctx.Err() == nil {
				e.log.WarnContext(ctx, "riverhook: challenge", "subscription", row.SubscriptionID, "error", callbacks.Brief(err))
			}
		})
	}
	return len(rows), nil
}

// challenge is a question that this engine has claimed.
type challenge struct {
	ID           uuid.UUID // fences what comes of it
	Subscription uuid.UUID
	URL          string
	Tries        int // this one included
}

func newChallenge(row store.EndpointChallenge) challenge {
	return challenge{
		ID:           *row.ID,
		Subscription: row.SubscriptionID,
		URL:          row.URL,
		Tries:        row.Tries,
	}
}

// challenge puts the question and records what came of it. After an error, or where the
// engine dies, the endpoint is asked again when the claim is over.
func (e *Engine) challenge(ctx context.Context, c challenge) (*attempt.Attempt, error) {
	if c.Tries >= e.cfg.Verification.Schedule.Attempts()+callbacks.MaxEndedRuns { // each is counted before it begins
		a := &attempt.Attempt{
			Number:  c.Tries,
			Outcome: OutcomeInterrupted,
			Error:   "the process ended each time",
		}
		return a, e.recordProof(ctx, c, a)
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a, err := e.exchangeProof(asking, c)
	if asking.Err() != nil && (err != nil || a.Outcome == OutcomeInterrupted) {
		return nil, context.Cause(asking)
	}
	e.at(send.PointAnswered)
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return a, errors.Join(err, e.recordProof(recording, c, a))
}

// exchangeProof makes the request. Its outcome is delivered if and only if the answer
// proves what was asked. With an error there was no request.
func (e *Engine) exchangeProof(ctx context.Context, c challenge) (*attempt.Attempt, error) {
	var (
		a   *attempt.Attempt
		sub *subscription.Subscription
	)
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	nonce := hex.EncodeToString(random)
	header, body, err := e.requester.Once(ctx, func() (_ *target, built dialect.Request, _ *attempt.Attempt, err error) {
		var t *target
		if t, sub, err = e.challengeTarget(ctx, c); err != nil {
			return nil, built, nil, err
		}
		a = attempt.New(&t.Target, time.Now())
		a.Number = c.Tries
		built, err = e.challengeRequest(ctx, t, sub, nonce, a)
		return t, built, a, err
	})
	if err != nil {
		return nil, err
	}
	if a.Outcome == OutcomeDelivered && !proves(sub.Verification, nonce, e.cfg.Verification.Origin, header, body) {
		a.Outcome, a.Error = OutcomeFailed, unprovenBy(sub.Verification, body)
	}
	return a, nil
}

// challengeTarget is the endpoint that is to be asked, as its subscription is now.
func (e *Engine) challengeTarget(ctx context.Context, c challenge) (*target, *subscription.Subscription, error) {
	t, sub, _, err := e.pingTarget(ctx, c.Subscription, false)
	if err != nil {
		return nil, nil, err
	}
	if cmp.Or(t.Sub.PendingURL, t.Sub.URL) != c.URL {
		return nil, nil, fmt.Errorf("%w: another URL took its place", ErrNotFound)
	}
	t.Sub.URL = c.URL
	t.Auth = t.Auth.At(c.URL)
	if t.Sub.Timeout == 0 {
		t.Sub.Timeout = e.cfg.Timeout
	}
	t.Sub.Timeout = min(t.Sub.Timeout, proofTimeout)
	return t, sub, nil
}

// recordProof puts a URL that was proven in force, or says why it was not and when it
// is asked for again. ErrNotFound: it is not to be proven any more.
func (e *Engine) recordProof(ctx context.Context, c challenge, a *attempt.Attempt) error {
	var (
		recorded []uuid.UUID
		err      error
		next     time.Duration
	)
	p := &store.RecordUnprovenParams{
		SubscriptionID: c.Subscription,
		ID:             &c.ID,
		Tries:          c.Tries,
		Error:          unprovenReason(a),
	}
	switch {
	case a == nil: // another process may have what this one lacks
		next, p.NotAsked = e.troubleWait(attempt.MissingWait), true
		p.WaitMs = new(next.Milliseconds())
		recorded, err = e.store.RecordUnproven(ctx, p)
	case a.Outcome == OutcomeDelivered:
		recorded, err = e.store.RecordProof(ctx, &store.RecordProofParams{SubscriptionID: c.Subscription, ID: &c.ID})
	default:
		var again bool
		if next, again = attempt.Schedule(e.cfg.Verification.Schedule).Next(c.Tries, e.random); again {
			next = max(next, a.Asked)
			p.WaitMs = new(next.Milliseconds())
		} else {
			p.Reason = "it is asked no more: " + p.Error
		}
		recorded, err = e.store.RecordUnproven(ctx, p)
	}
	e.logProof(ctx, c, a, next)
	if err == nil && len(recorded) == 0 {
		err = fmt.Errorf("%w: it is not to be proven any more", ErrNotFound)
	}
	return err
}

// unprovenReason is what a subscription's owner is told: what is wrong with this
// process is for the log.
func unprovenReason(a *attempt.Attempt) string {
	switch {
	case a == nil:
		return "the request could not be made"
	case a.Error != "":
		return a.Error
	default:
		return fmt.Sprintf("the endpoint answered %d", a.Status)
	}
}

func (e *Engine) logProof(ctx context.Context, c challenge, a *attempt.Attempt, next time.Duration) {
	if a == nil {
		return // its error is told
	}
	host := ""
	if u, err := url.Parse(c.URL); err == nil {
		host = u.Host
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "riverhook: challenge", slog.Any("subscription", c.Subscription), slog.String("host", host),
		slog.Bool("proven", a.Outcome == OutcomeDelivered), slog.Int("try", c.Tries), slog.String("outcome", string(a.Outcome)),
		slog.Int("status", a.Status), slog.String("error", a.Error), slog.String("detail", a.Reason),
		slog.Duration("took", a.Duration), slog.Duration("next", next))
}

// challengeAll asks whatever is due, for RunDue.
func (e *Engine) challengeAll(ctx context.Context) error {
	for {
		var asked sync.WaitGroup
		n, err := e.challengeDue(ctx, asked.Go)
		asked.Wait()
		if err != nil || n == 0 {
			return err
		}
	}
}
