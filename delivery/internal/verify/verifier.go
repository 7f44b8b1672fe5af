// Package verify has endpoints prove that they want requests: it claims what is due,
// sends challenges and records what they came to.
package verify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/internal/store"
)

// AnswerTimeout is the most time that an endpoint has to answer a challenge.
const AnswerTimeout = 30 * time.Second

const (
	// missingWait is the wait for a process that has what this one lacks.
	missingWait = 10 * time.Second

	// maxVerifying is the most endpoints that an engine verifies at the same time by
	// itself.
	maxVerifying = 64

	// maxVerifyingHost is the most challenges to one host at the same time, over all
	// engines: one that does not answer leaves the rest of maxVerifying to others.
	maxVerifyingHost = 4

	// idleRows is how many endpoints that are not to be verified any more one statement
	// puts off.
	idleRows = 500

	// verifyTimeout is the most time for a challenge, in which it can wait for its turn
	// in this process, and recordTimeout that for the record of the answer. Then other
	// engines may send the next one.
	verifyTimeout = 45 * time.Second
	recordTimeout = 30 * time.Second
	claimTime     = verifyTimeout + recordTimeout
)

// ErrThrottled means that Interval or HostInterval does not allow a challenge yet.
var ErrThrottled = errors.New("too soon after another verification of the endpoint or its host")

// Rules say when endpoints are verified. Package delivery documents them.
type Rules struct {
	HostInterval time.Duration
	Interval     time.Duration
	Origin       string
	Schedule     attempt.Schedule
}

// Claim is a URL that this engine has claimed to verify.
type Claim struct {
	ID             uuid.UUID // fences the record
	SubscriptionID uuid.UUID
	Tries          int // with this one
	URL            string
}

// Send makes one request to the URL of a claim, and again if what it was made from
// changes before it goes out. build makes the request for the endpoint as it was read.
// The error means that there was no request, and is a notfound.Err if the URL is not the
// one to verify any more.
type Send func(ctx context.Context, c Claim, build func(Endpoint) (dialect.Request, error)) (Answer, error)

// Answer is what the request of a challenge came to.
type Answer struct {
	Attempt *attempt.Attempt
	Body    []byte
	Header  http.Header
}

// Verifier verifies endpoints. It is made by New, and safe for concurrent use.
type Verifier struct {
	cfg       Config
	verifying chan struct{} // has room for maxVerifying
}

// Config is what a Verifier needs.
type Config struct {
	// Frequent has the statements that run all the time, and Store the others.
	Frequent, Store *store.Queries

	Log    *slog.Logger
	Random func() float64 // for the jitter of the schedule
	Rules  Rules
	Send   Send

	// TroubleWait is how long to wait after trouble of this process, which usually is
	// over after the given time.
	TroubleWait func(time.Duration) time.Duration
}

// New makes a verifier.
func New(cfg Config) *Verifier {
	return &Verifier{cfg: cfg, verifying: make(chan struct{}, maxVerifying)}
}

// Verify sends a challenge to the URL of a subscription that waits to be verified, at
// once and whatever the schedule says, and returns what it came to: the URL is in force
// if and only if the outcome is delivered. Otherwise the schedule begins anew. The error
// is a notfound.Err if no URL waits, or if another took its place meanwhile, or
// ErrThrottled, or says why there was no request.
func (v *Verifier) Verify(ctx context.Context, subscription uuid.UUID) (*attempt.Attempt, error) {
	rows, err := v.cfg.Store.ClaimChallenge(ctx, &store.ClaimChallengeParams{
		SubscriptionID: subscription,
		ClaimMs:        claimTime.Milliseconds(),
		HostMs:         v.cfg.Rules.HostInterval.Milliseconds(),
		IntervalMs:     v.cfg.Rules.Interval.Milliseconds(),
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		return v.verify(ctx, newClaim(rows[0]))
	}
	waiting, err := v.cfg.Store.IsChallenged(ctx, subscription)
	switch {
	case err != nil:
		return nil, err
	case len(waiting) == 0:
		return nil, fmt.Errorf("%w: no URL waits to be proven", notfound.Err)
	default:
		return nil, ErrThrottled
	}
}

// VerifyDue verifies the endpoints that are due, as many as may be verified at the same
// time, each in a goroutine of spawn. It returns how many.
func (v *Verifier) VerifyDue(ctx context.Context, spawn func(func())) (int, error) {
	free := cap(v.verifying) - len(v.verifying)
	if free == 0 {
		return 0, nil
	}
	rows, err := v.cfg.Frequent.ClaimChallenges(ctx, &store.ClaimChallengesParams{
		ClaimMs:    claimTime.Milliseconds(),
		HostMs:     v.cfg.Rules.HostInterval.Milliseconds(),
		IntervalMs: v.cfg.Rules.Interval.Milliseconds(),
		MaxAsked:   maxVerifyingHost,
		IdleRows:   idleRows,
		MaxRows:    free,
	})
	if err != nil {
		return 0, fmt.Errorf("delivery: claim challenges: %w", err)
	}
	for _, row := range rows {
		v.verifying <- struct{}{}
		spawn(func() {
			defer func() { <-v.verifying }()
			if _, err := v.verify(ctx, newClaim(row)); err != nil && ctx.Err() == nil {
				v.cfg.Log.WarnContext(ctx, "riverhook: challenge", "subscription", row.SubscriptionID, "error", callbacks.Brief(err))
			}
		})
	}
	return len(rows), nil
}

// VerifyAll verifies endpoints until none is due.
func (v *Verifier) VerifyAll(ctx context.Context) error {
	for {
		var verified sync.WaitGroup
		n, err := v.VerifyDue(ctx, verified.Go)
		verified.Wait()
		if err != nil || n == 0 {
			return err
		}
	}
}

func newClaim(row store.EndpointChallenge) Claim {
	return Claim{
		ID:             *row.ID,
		SubscriptionID: row.SubscriptionID,
		URL:            row.URL,
		Tries:          row.Tries,
	}
}

// verify sends a challenge and records what it came to. After an error, or if the engine
// dies, the next one is sent when the claim has expired.
func (v *Verifier) verify(ctx context.Context, c Claim) (*attempt.Attempt, error) {
	if c.Tries >= len(v.cfg.Rules.Schedule.Delays)+1+callbacks.MaxEndedRuns { // each is counted before it begins
		a := &attempt.Attempt{
			Number:  c.Tries,
			Outcome: attempt.OutcomeInterrupted,
			Error:   "the process ended each time",
		}
		return a, v.record(ctx, c, a)
	}
	sending, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	a, err := v.exchange(sending, c)
	if sending.Err() != nil && (err != nil || a.Outcome == attempt.OutcomeInterrupted) {
		return nil, context.Cause(sending)
	}
	recording, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	return a, errors.Join(err, v.record(recording, c, a))
}

// exchange sends the challenge. Its outcome is delivered if and only if the answer proves
// what was asked. With an error there was no request.
func (v *Verifier) exchange(ctx context.Context, c Claim) (*attempt.Attempt, error) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	sent := challenge{nonce: hex.EncodeToString(random), origin: v.cfg.Rules.Origin}
	got, err := v.cfg.Send(ctx, c, func(to Endpoint) (dialect.Request, error) {
		sent.method = to.Method
		return sent.request(to)
	})
	if err != nil {
		return nil, err
	}
	a := got.Attempt
	if a.Outcome == attempt.OutcomeDelivered && !sent.provenBy(got.Header, got.Body) {
		a.Outcome = attempt.OutcomeFailed
		a.Error = sent.unproven(got.Body)
	}
	return a, nil
}

// record puts a URL that was proven in force, or records why it was not and when it is
// verified again. a is nil if no request could be made. The error is a notfound.Err if
// the URL is not to be proven any more.
func (v *Verifier) record(ctx context.Context, c Claim, a *attempt.Attempt) error {
	var (
		recorded []uuid.UUID
		err      error
		next     time.Duration
	)
	p := &store.RecordUnprovenParams{
		SubscriptionID: c.SubscriptionID,
		ID:             &c.ID,
		Tries:          c.Tries,
		Error:          reason(a),
	}
	switch {
	case a == nil: // another process may have what this one lacks
		next = v.cfg.TroubleWait(missingWait)
		p.NotAsked = true
		p.WaitMs = new(next.Milliseconds())
		recorded, err = v.cfg.Store.RecordUnproven(ctx, p)
	case a.Outcome == attempt.OutcomeDelivered:
		recorded, err = v.cfg.Store.RecordProof(ctx, &store.RecordProofParams{SubscriptionID: c.SubscriptionID, ID: &c.ID})
	default:
		var again bool
		if next, again = v.cfg.Rules.Schedule.Next(c.Tries, v.cfg.Random); again {
			next = a.NotBefore(next)
			p.WaitMs = new(next.Milliseconds())
		} else {
			p.Reason = "it is asked no more: " + p.Error
		}
		recorded, err = v.cfg.Store.RecordUnproven(ctx, p)
	}
	v.log(ctx, c, a, next)
	if err == nil && len(recorded) == 0 {
		err = fmt.Errorf("%w: it is not to be proven any more", notfound.Err)
	}
	return err
}

// reason is what the owner of a subscription gets to see. What is wrong with this process
// is for the log.
func reason(a *attempt.Attempt) string {
	switch {
	case a == nil:
		return "the request could not be made"
	case a.Error != "":
		return a.Error
	default:
		return fmt.Sprintf("the endpoint answered %d", a.Status)
	}
}

func (v *Verifier) log(ctx context.Context, c Claim, a *attempt.Attempt, next time.Duration) {
	if a == nil {
		return // the caller gets the error
	}
	host := ""
	if u, err := url.Parse(c.URL); err == nil {
		host = u.Host
	}
	v.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "riverhook: challenge", slog.Any("subscription", c.SubscriptionID), slog.String("host", host),
		slog.Bool("proven", a.Outcome == attempt.OutcomeDelivered), slog.Int("try", c.Tries), slog.String("outcome", string(a.Outcome)),
		slog.Int("status", a.Status), slog.String("error", a.Error), slog.String("detail", a.Reason),
		slog.Duration("took", a.Duration), slog.Duration("next", next))
}
