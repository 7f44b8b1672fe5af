package expand

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/turns"
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
	Turns    *turns.Admission
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

// open reads an intent, nil if it is gone, and takes the bytes that a job of it needs: of
// what is stored, and what expect adds for what the job is going to make. A job that has to
// wait for them holds nothing meanwhile; then the intent is read, and expect called, again.
// The caller must release the payloads. It has a place at Turns, which others have while it waits.
func (i *Intents) open(
	ctx context.Context, by callbacks.JobRef, id uuid.UUID, expect func(in *Intent, want *payloads.Want) error,
) (*Intent, error) {
	var held *payloads.Held
	for {
		in, want, err := i.want(ctx, by, id, expect)
		if err != nil || in == nil {
			held.Release()
			return nil, err
		}
		if held != nil { // it can be more by now
			held.Made(want.Made)
			in.Payloads = held
			return in, nil
		}
		var ok bool
		if in.Payloads, ok = i.Payloads.Try(want); ok {
			return in, nil
		}
		i.Turns.Leave(by.Share)
		held, err = i.Payloads.Wait(ctx, want)
		if err := i.Turns.Enter(context.WithoutCancel(ctx), by.Share); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, callbacks.Stall("take the bytes of the intent", err)
		}
	}
}

// want reads an intent, and says which bytes a job of it needs.
func (i *Intents) want(
	ctx context.Context, by callbacks.JobRef, id uuid.UUID, expect func(in *Intent, want *payloads.Want) error,
) (*Intent, payloads.Want, error) {
	shared, err := i.loads.DoOf(ctx, by.Share, id)
	if err != nil {
		return nil, payloads.Want{}, callbacks.Stall("load the intent", err)
	}
	if shared == nil {
		return nil, payloads.Want{}, nil
	}
	in := *shared
	want := payloads.Want{
		IntentID: id,
		Share:    by.Share,
		Stored:   in.Stored,
	}
	err = expect(&in, &want)
	return &in, want, err
}

// loadData loads the data of an intent that were not loaded with it.
func (i *Intents) loadData(ctx context.Context, in *Intent) error {
	if in.Event.Data != nil || in.DataBytes() == 0 {
		return nil
	}
	var err error
	if in.Event.Data, err = in.Payloads.Get(ctx, payloads.Data); err != nil {
		return callbacks.Stall("load the data", err)
	}
	return nil
}

// loadAll is the flush of the batch of loads.
func (i *Intents) loadAll(ctx context.Context, ids []uuid.UUID) ([]*Intent, error) {
	rows, err := i.Frequent.LoadIntents(ctx, &store.LoadIntentsParams{Ids: store.UUIDs(ids), Inline: payloads.Inline})
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
	if row.DataBytes > 0 {
		in.Stored = append(in.Stored, payloads.Size{Name: payloads.Data, Bytes: row.DataBytes})
	}
	for i, name := range row.MessageDialects {
		in.Stored = append(in.Stored, payloads.Size{Name: name, Bytes: row.MessageBytes[i]})
	}
	var err error
	if in.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("intent %s: %w", row.WireID, err)
	}
	return in, nil
}
