package delivery

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/delivery/internal/record"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/retention"
	"github.com/riverhook/riverhook/internal/store"
)

// committed is what came of the commit of an expansion.
type committed struct {
	Made  []store.CommitExpansionsRow // deliveries to attempt
	Stale bool                        // its sites have changed: nothing was written
}

// commitExpansions is the flush of the batch of expansions. No expansion is written of
// which the [hierarchy.Sites] have changed since they were read.
func (e *Engine) commitExpansions(ctx context.Context, batch []*expansion) ([]committed, error) {
	p := &store.CommitExpansionsParams{}
	owners := map[uuid.UUID]int{}
	counts := false
	outs := make([]committed, len(batch))
	for i, ex := range batch {
		owners[ex.Intent.ID] = i
		if err := addExpansion(p, ex); err != nil {
			return nil, err
		}
		for _, d := range ex.Decisions {
			if d.Outcome == decide.OutcomeDeliver {
				owners[d.DeliveryID] = i
			}
			counts = counts || d.OwnerUnknown
		}
	}
	err := e.inTx(ctx, counts, func(q *store.Queries) error {
		rows, err := q.CommitExpansions(ctx, p)
		if err != nil {
			return fmt.Errorf("delivery: commit expansions: %w", err)
		}
		for _, row := range rows {
			out := &outs[owners[row.ID]]
			if row.Stale {
				out.Stale = true
			} else {
				out.Made = append(out.Made, row)
			}
		}
		health := record.Health{}
		for i, ex := range batch {
			if !outs[i].Stale {
				addUnresolvable(health, ex.Decisions)
			}
		}
		_, err = health.Write(ctx, q)
		return err
	})
	return outs, err
}

// addUnresolvable counts the decisions whose owner is not known.
func addUnresolvable(health record.Health, decisions []decide.Decision) {
	for _, d := range decisions {
		if d.OwnerUnknown {
			endpoint := attempt.EndpointKey{SubscriptionID: d.Subscription.ID, URLVersion: d.Subscription.URLVersion}
			health.AddUnresolvable(endpoint, d.Subscription.Epoch)
		}
	}
}

func addExpansion(p *store.CommitExpansionsParams, ex *expansion) error {
	id := ex.Intent.ID.String()
	p.IntentIds = append(p.IntentIds, id)
	p.Afters = append(p.Afters, ex.Intent.After.String())
	p.NextAfters = append(p.NextAfters, ex.Next.String())
	p.More = append(p.More, ex.More)
	p.Chains = append(p.Chains, ex.Standing.Chain)
	p.Sites = append(p.Sites, string(ex.Standing.Site))
	p.ActiveSites = append(p.ActiveSites, string(ex.Standing.ActiveSite))
	p.TreeVersions = append(p.TreeVersions, ex.Standing.TreeVersion)
	p.Carries = append(p.Carries, ex.carries())
	p.EndedRuns = append(p.EndedRuns, ex.Ended.Text())
	p.Keeps = append(p.Keeps, retention.Stored(ex.Keep.Payloads))
	p.KeepMs = append(p.KeepMs, ex.Keep.Age.Milliseconds())
	for name, msg := range ex.Messages {
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
	waiting := false
	for _, d := range ex.Decisions {
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
			p.DeliveryJobs = append(p.DeliveryJobs, ex.JobID)
			continue
		}
		waiting = waiting || d.Outcome == decide.OutcomeWaiting
		p.DecisionIntents = append(p.DecisionIntents, id)
		p.DecisionSubscriptions = append(p.DecisionSubscriptions, d.Subscription.ID.String())
		p.DecisionOutcomes = append(p.DecisionOutcomes, string(d.Outcome))
		p.DecisionReasons = append(p.DecisionReasons, d.Reason)
		p.DecisionSites = append(p.DecisionSites, string(d.Site))
		p.DecisionPatterns = append(p.DecisionPatterns, d.Pattern)
		p.DecisionTries = append(p.DecisionTries, d.Tries)
	}
	if waiting {
		p.WaitingIntents = append(p.WaitingIntents, id)
		p.WaitingMs = append(p.WaitingMs, ex.Wait.Milliseconds())
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

// inTx runs f on the pool where one frequent statement is enough, and in a
// transaction where there are several.
func (e *Engine) inTx(ctx context.Context, several bool, f func(q *store.Queries) error) error {
	if !several {
		return f(e.frequent)
	}
	err := pgx.BeginTxFunc(ctx, e.pool, store.BoundedTx(), func(tx pgx.Tx) error { return f(store.In(tx, e.cfg.Schema)) })
	if err != nil {
		return fmt.Errorf("delivery: transaction: %w", err)
	}
	return nil
}
