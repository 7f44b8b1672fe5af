package expand

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/resolve"
	"github.com/riverhook/riverhook/internal/retention"
	"github.com/riverhook/riverhook/internal/store"
)

// Chunk is a part of the subscriptions that an intent matches, decided and not yet
// committed.
type Chunk struct {
	Intent    *Intent
	Standing  resolve.Standing // by which its matches were found
	Matches   []decide.Match
	ReadAt    time.Time           // when the read of its subscriptions began
	Next      uuid.UUID           // the last subscription of the chunk
	Ended     callbacks.EndedRuns // of the next chunk
	More      bool                // there are subscriptions after it
	Keep      Retention
	JobID     int64
	Wait      time.Duration // before decisions that wait are made again
	Decisions []decide.Decision
	Messages  map[string]dialect.Message
}

// carries is true if first attempts can be left to jobs of the intent: of this chunk, or
// of one before it.
func (c *Chunk) carries() bool {
	return c.Intent.After != uuid.Nil || slices.ContainsFunc(c.Decisions, func(d decide.Decision) bool {
		return d.Outcome == decide.OutcomeDeliver && d.Hold == ""
	})
}

// Input is the first attempt of a delivery that the chunk decides, with the signing
// secrets of its subscription. Its message and its endpoint are not set.
func (c *Chunk) Input(d *decide.Decision, secrets [][]byte) *send.Input {
	return &send.Input{
		Target: attempt.Target{
			ID:          d.DeliveryID,
			IntentID:    c.Intent.ID,
			Event:       c.Intent.Event,
			Sub:         send.Subscription(&d.Subscription),
			Stored:      secrets,
			Dialect:     d.Subscription.Dialect,
			Epoch:       d.Subscription.Epoch,
			State:       attempt.StatePending,
			Round:       1,
			AccessAt:    d.AccessAt,
			ReadAt:      c.ReadAt,
			TreeVersion: c.Intent.TreeVersion,
		},
		Payloads: c.Intent.Payloads,
	}
}

// inputs pairs what was decided with the rows that were made of it. Held deliveries have
// no attempt yet.
func (c *Chunk) inputs(made []store.CommitExpansionsRow, messages map[string]dialect.Message) []*send.Input {
	if len(made) == 0 {
		return nil
	}
	for name, msg := range messages { // they are stored by now
		msg.Body = c.Intent.Payloads.Share(name, msg.Body)
		messages[name] = msg
	}
	byID := make(map[uuid.UUID]*store.CommitExpansionsRow, len(made))
	for i := range made {
		byID[made[i].ID] = &made[i]
	}
	inputs := make([]*send.Input, 0, len(made))
	for i := range c.Decisions {
		d := &c.Decisions[i]
		row, ok := byID[d.DeliveryID]
		if !ok || d.Outcome != decide.OutcomeDeliver || d.Hold != "" {
			continue
		}
		in := c.Input(d, row.Secrets)
		in.Message = messages[d.Subscription.Dialect]
		in.Endpoint = attempt.Endpoint{
			CircuitOpened: row.CircuitOpened,
			Trial:         row.Trial,
			Gone:          row.Gone,
			Failing:       row.Failing,
		}
		inputs = append(inputs, in)
	}
	return inputs
}

// CountUnresolvable counts the decisions whose owner is unknown against their
// subscriptions.
func (c *Chunk) CountUnresolvable(health record.Health) {
	for i := range c.Decisions {
		if d := &c.Decisions[i]; d.OwnerUnknown {
			endpoint := attempt.EndpointKey{SubscriptionID: d.Subscription.ID, URLVersion: d.Subscription.URLVersion}
			health.AddUnresolvable(endpoint, d.Subscription.Epoch)
		}
	}
}

// AddTo adds the chunk to what one statement commits.
func (c *Chunk) AddTo(p *store.CommitExpansionsParams) error {
	id := c.Intent.ID.String()
	p.IntentIds = append(p.IntentIds, id)
	p.Afters = append(p.Afters, c.Intent.After.String())
	p.NextAfters = append(p.NextAfters, c.Next.String())
	p.More = append(p.More, c.More)
	p.Chains = append(p.Chains, c.Standing.Chain)
	p.Sites = append(p.Sites, string(c.Standing.Site))
	p.ActiveSites = append(p.ActiveSites, string(c.Standing.ActiveSite))
	p.TreeVersions = append(p.TreeVersions, c.Standing.TreeVersion)
	p.Carries = append(p.Carries, c.carries())
	p.EndedRuns = append(p.EndedRuns, c.Ended.Text())
	p.Keeps = append(p.Keeps, retention.Stored(c.Keep.Payloads))
	p.KeepMs = append(p.KeepMs, c.Keep.Age.Milliseconds())
	for name, msg := range c.Messages {
		headers, err := encodeHeaders(msg)
		if err != nil {
			return err
		}
		p.MessageIntents = append(p.MessageIntents, id)
		p.MessageDialects = append(p.MessageDialects, name)
		p.MessageTypes = append(p.MessageTypes, msg.ContentType)
		p.MessageHeaders = append(p.MessageHeaders, headers)
		p.MessageBodies = append(p.MessageBodies, msg.Body)
	}
	waits := false
	for i := range c.Decisions {
		d := &c.Decisions[i]
		if d.Outcome == decide.OutcomeDeliver {
			p.DeliveryIds = append(p.DeliveryIds, d.DeliveryID.String())
			p.DeliveryIntents = append(p.DeliveryIntents, id)
			p.DeliverySubscriptions = append(p.DeliverySubscriptions, d.Subscription.ID.String())
			p.DeliveryDialects = append(p.DeliveryDialects, d.Subscription.Dialect)
			p.DeliverySites = append(p.DeliverySites, string(d.Site))
			p.DeliveryPatterns = append(p.DeliveryPatterns, d.Pattern)
			p.DeliveryEpochs = append(p.DeliveryEpochs, d.Subscription.Epoch)
			p.DeliveryAccessMs = append(p.DeliveryAccessMs, d.AccessAge())
			p.DeliveryHolds = append(p.DeliveryHolds, string(d.Hold))
			p.DeliveryJobs = append(p.DeliveryJobs, c.JobID)
			continue
		}
		waits = waits || d.Outcome == decide.OutcomeWaiting
		p.DecisionIntents = append(p.DecisionIntents, id)
		p.DecisionSubscriptions = append(p.DecisionSubscriptions, d.Subscription.ID.String())
		p.DecisionOutcomes = append(p.DecisionOutcomes, string(d.Outcome))
		p.DecisionReasons = append(p.DecisionReasons, d.Reason)
		p.DecisionSites = append(p.DecisionSites, string(d.Site))
		p.DecisionPatterns = append(p.DecisionPatterns, d.Pattern)
		p.DecisionTries = append(p.DecisionTries, d.Tries)
	}
	if waits {
		p.WaitingIntents = append(p.WaitingIntents, id)
		p.WaitingMs = append(p.WaitingMs, c.Wait.Milliseconds())
	}
	return nil
}

func encodeHeaders(msg dialect.Message) (string, error) {
	if len(msg.Headers) == 0 {
		return "{}", nil
	}
	headers, err := json.Marshal(msg.Headers)
	if err != nil {
		return "", fmt.Errorf("delivery: headers of message %s: %w", msg.ID, err)
	}
	return string(headers), nil
}

// logTrouble says why decisions wait or have failed, once for each reason.
func (c *Chunk) logTrouble(ctx context.Context, log *slog.Logger) {
	waiting := map[string]int{}
	failed := map[string]int{}
	unfiltered := map[string]int{}
	for i := range c.Decisions {
		reason := c.Decisions[i].Reason
		switch c.Decisions[i].Outcome {
		case decide.OutcomeWaiting:
			waiting[reason]++
		case decide.OutcomeFailed:
			failed[reason]++
		case decide.OutcomeFilterError:
			unfiltered[reason]++
		default:
		}
	}
	id := c.Intent.Event.ID
	for reason, n := range waiting {
		log.WarnContext(ctx, "riverhook: decisions wait", "intent", id, "subscriptions", n, "reason", reason)
	}
	for reason, n := range unfiltered {
		log.WarnContext(ctx, "riverhook: filters failed", "intent", id, "subscriptions", n, "reason", reason)
	}
	for reason, n := range failed {
		log.ErrorContext(ctx, "riverhook: decisions failed", "intent", id, "subscriptions", n, "reason", reason)
	}
}
