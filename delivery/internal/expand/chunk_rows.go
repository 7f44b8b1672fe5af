package expand

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/store"
)

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
	p.Keeps = append(p.Keeps, c.Keep.Stored())
	p.KeepMs = append(p.KeepMs, c.Keep.Age.Milliseconds())
	if err := c.addMessages(p, id); err != nil {
		return err
	}
	var waits []time.Duration // those that wait equally long share a job
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
		wait, cause := c.Wait, ""
		if d.AtOnce {
			wait = 0
		}
		if d.Outcome == decide.OutcomeWaiting {
			cause = d.Cause.String()
			if cause == "" && !slices.Contains(waits, wait) {
				waits = append(waits, wait)
			}
		}
		p.DecisionIntents = append(p.DecisionIntents, id)
		p.DecisionSubscriptions = append(p.DecisionSubscriptions, d.Subscription.ID.String())
		p.DecisionOutcomes = append(p.DecisionOutcomes, string(d.Outcome))
		p.DecisionReasons = append(p.DecisionReasons, d.Reason)
		p.DecisionSites = append(p.DecisionSites, string(d.Site))
		p.DecisionPatterns = append(p.DecisionPatterns, d.Pattern)
		p.DecisionTries = append(p.DecisionTries, d.Tries)
		p.DecisionCauses = append(p.DecisionCauses, cause)
		p.DecisionMs = append(p.DecisionMs, wait.Milliseconds())
	}
	for _, wait := range waits {
		p.WaitingIntents = append(p.WaitingIntents, id)
		p.WaitingMs = append(p.WaitingMs, wait.Milliseconds())
	}
	return nil
}

func (c *Chunk) addMessages(p *store.CommitExpansionsParams, intent string) error {
	for name, msg := range c.Messages {
		headers, err := encodeHeaders(msg)
		if err != nil {
			return err
		}
		p.MessageIntents = append(p.MessageIntents, intent)
		p.MessageDialects = append(p.MessageDialects, name)
		p.MessageTypes = append(p.MessageTypes, msg.ContentType)
		p.MessageHeaders = append(p.MessageHeaders, headers)
		p.MessageBodies = append(p.MessageBodies, msg.Body)
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

// carries is true if first attempts can be left to jobs of the intent: of this chunk, or
// of one before it.
func (c *Chunk) carries() bool {
	return c.Intent.After != uuid.Nil || slices.ContainsFunc(c.Decisions, func(d decide.Decision) bool {
		return d.Outcome == decide.OutcomeDeliver && d.Hold == ""
	})
}

// CountUnresolvable counts the decisions whose owner is unknown against their
// subscriptions.
func (c *Chunk) CountUnresolvable(health record.Health) {
	for i := range c.Decisions {
		if d := &c.Decisions[i]; d.OwnerUnknown {
			health.AddUnresolvable(d.EndpointKey(), d.Subscription.Epoch)
		}
	}
}
