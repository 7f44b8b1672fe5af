package expand

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

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

func newIntent(row *store.LoadIntentsRow) (*Intent, error) {
	in := &Intent{
		ID:    row.ID,
		State: IntentState(row.State),
		After: row.After,
		Chain: row.Chain,
		Event: dialect.Event{
			ID:            row.WireID,
			Type:          row.Type,
			Site:          row.Site,
			ActiveSite:    row.ActiveSite,
			ResourceKind:  row.ResourceKind,
			ResourceID:    row.ResourceID,
			Actor:         row.Actor,
			Channel:       row.Channel,
			SchemaVersion: row.SchemaVersion,
			Data:          row.Data,
			OccurredAt:    row.OccurredAt.UTC(),
		},
		Keep:        RegisteredRetention(row.TypePayloads, row.TypePayloadAgeMs),
		TreeVersion: row.TreeVersion,
	}
	if err := json.Unmarshal(row.Attributes, &in.Event.Attributes); err != nil {
		return nil, fmt.Errorf("attributes of intent %s: %w", row.WireID, err)
	}
	var err error
	if in.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("intent %s: %w", row.WireID, err)
	}
	return in, nil
}
