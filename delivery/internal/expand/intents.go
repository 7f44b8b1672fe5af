package expand

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// failTimeout bounds the statement that fails an intent, whose job may be cancelled
// already.
const failTimeout = 30 * time.Second

// IntentsConfig is what Intents read from, and by.
type IntentsConfig struct {
	Batch    batch.Config
	Calls    *callbacks.Calls
	Frequent *store.Queries // with plans that are kept
	Payloads *payloads.Pool
	Store    *store.Queries
}

// Intents reads intents and their messages. Callers that read at the same time share a
// statement. It is safe for concurrent use.
type Intents struct {
	IntentsConfig

	loads *batch.Group[uuid.UUID, *Intent]
}

// NewIntents reads until Close.
func NewIntents(cfg *IntentsConfig) *Intents {
	i := &Intents{IntentsConfig: *cfg}
	i.loads = batch.New(cfg.Batch, i.loadAll)
	return i
}

// Close ends reading.
func (i *Intents) Close() { i.loads.Close() }

// load reads an intent, nil if it is gone. The caller must release its payloads, which
// jobs of it share.
func (i *Intents) load(ctx context.Context, id uuid.UUID) (*Intent, error) {
	shared, err := i.loads.Do(ctx, id)
	if err != nil {
		return nil, callbacks.Stall("load the intent", err)
	}
	if shared == nil {
		return nil, nil
	}
	in := *shared
	in.Payloads = i.Payloads.Hold(id)
	in.Event.Data = in.Payloads.Share(payloads.Data, in.Event.Data)
	return &in, nil
}

// loadAll is the flush of the batch of loads.
func (i *Intents) loadAll(ctx context.Context, ids []uuid.UUID) ([]*Intent, error) {
	rows, err := i.Frequent.LoadIntents(ctx, store.UUIDs(ids))
	if err != nil {
		return nil, fmt.Errorf("delivery: load intents: %w", err)
	}
	byID := make(map[uuid.UUID]*Intent, len(rows))
	for n := range rows {
		if byID[rows[n].ID], err = newIntent(&rows[n]); err != nil {
			return nil, fmt.Errorf("delivery: load intents: %w", err)
		}
	}
	out := make([]*Intent, len(ids))
	for n, id := range ids {
		out[n] = byID[id]
	}
	return out, nil
}

// messages reads the messages of an intent that are stored, by dialect.
func (i *Intents) messages(ctx context.Context, in *Intent) (map[string]dialect.Message, error) {
	here := in.Payloads.Messages()
	rows, err := i.Store.LoadMessages(ctx, &store.LoadMessagesParams{
		IntentID: in.ID, Here: slices.AppendSeq([]string{}, maps.Keys(here)),
	})
	if err != nil {
		return nil, callbacks.Stall("load the messages", err)
	}
	messages := map[string]dialect.Message{}
	for _, row := range rows {
		body, ok := here[row.Dialect]
		if !ok {
			body = in.Payloads.Share(row.Dialect, row.Body)
		}
		msg := dialect.Message{
			ID:          in.Event.ID,
			Type:        in.Event.Type,
			ContentType: row.ContentType,
			Body:        body,
			OccurredAt:  in.Event.OccurredAt,
		}
		if err := json.Unmarshal(row.Headers, &msg.Headers); err != nil {
			return nil, fmt.Errorf("delivery: headers of the message of %s: %w", in.Event.ID, err)
		}
		messages[row.Dialect] = msg
	}
	return messages, nil
}

// storedMessages adds the messages that the commit of a chunk has stored to those from
// before. A chunk after the first one and a decision that was made later can make a
// message in the same dialect; then both send the one that was stored first.
func (i *Intents) storedMessages(
	ctx context.Context, c *Chunk, before map[string]dialect.Message,
) (map[string]dialect.Message, error) {
	if len(c.Messages) == 0 {
		return before, nil
	}
	if c.Intent.State == IntentPending && c.Intent.After == uuid.Nil {
		return c.Messages, nil
	}
	return i.messages(ctx, c.Intent)
}

// fail gives an expansion up, visibly.
func (i *Intents) fail(ctx context.Context, by callbacks.JobRef, id uuid.UUID, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout)
	defer cancel()
	if err := i.Store.FailIntent(ctx, &store.FailIntentParams{
		IntentID: id,
		JobID:    by.JobID,
		Reason:   callbacks.Brief(cause),
	}); err != nil {
		return fmt.Errorf("delivery: fail intent %s: %w", id, err)
	}
	return nil
}

// expansionCaller is how a run calls host code for an expansion.
func (i *Intents) expansionCaller(by callbacks.JobRef, in *Intent) *callbacks.Caller {
	return i.Calls.Caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return i.Store.MarkExpansion(ctx, &store.MarkExpansionParams{
			IntentID:  in.ID,
			After:     in.After,
			EndedRuns: text,
		})
	})
}

// decisionCaller is how a run calls host code for decisions that have waited. What is
// recorded of it is stored with the first of them.
func (i *Intents) decisionCaller(
	by callbacks.JobRef, in *Intent, ended callbacks.EndedRuns, first uuid.UUID,
) *callbacks.Caller {
	return i.Calls.Caller(by, first, ended, func(ctx context.Context, text string) (int64, error) {
		return i.Store.MarkDecision(ctx, &store.MarkDecisionParams{
			IntentID:       in.ID,
			SubscriptionID: first,
			JobID:          by.JobID,
			EndedRuns:      text,
		})
	})
}
