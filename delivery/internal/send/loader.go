package send

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/delivery/internal/turns"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// LoaderConfig is what a Loader reads from, and by.
type LoaderConfig struct {
	Batch    batch.Config
	Calls    *callbacks.Calls
	Payloads *payloads.Pool
	Rereader *Rereader // says whether access is checked again
	Store    *store.Queries
	Turns    *turns.Admission // where a job waits before it reads
}

// Loader reads the deliveries of attempts. Callers that read at the same time share a
// statement. It is safe for concurrent use.
type Loader struct {
	cfg   LoaderConfig
	loads *batch.Group[uuid.UUID, *Input]
}

// NewLoader makes a loader, which reads from a database until Close.
func NewLoader(cfg *LoaderConfig) *Loader {
	l := &Loader{cfg: *cfg}
	l.loads = batch.New(cfg.Batch, l.load)
	return l
}

// Close ends reading.
func (l *Loader) Close() { l.loads.Close() }

// caller is how a run of a job calls host code for an attempt.
func (l *Loader) caller(by callbacks.JobRef, in *Input) *callbacks.Caller {
	return l.cfg.Calls.Caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return l.cfg.Store.MarkDelivery(ctx, &store.MarkDeliveryParams{
			ID:        in.ID,
			Seq:       in.Seq,
			EndedRuns: text,
		})
	})
}

// Load reads a delivery, unless it has moved on to another job than by; then it is nil. It
// takes the bytes of its payloads, and waits for them if it must, holding nothing; then the
// delivery is read again. The caller must release the payloads. If its job holds payloads
// of the intent already, those are the input's, and nothing waits.
func (l *Loader) Load(ctx context.Context, by callbacks.JobRef, id uuid.UUID, held *payloads.Held) (*Input, error) {
	in, err := l.read(ctx, by, id)
	if in == nil {
		return nil, err
	}
	if in.Payloads = held; held != nil || in.bodyBytes+in.dataBytes == 0 {
		return in, nil
	}
	want := l.want(by, in)
	if free, ok := l.cfg.Payloads.Try(want); ok {
		in.Payloads = free
		return in, nil
	}
	return l.loadAfterWait(ctx, by, id, want)
}

// loadAfterWait waits for the bytes of a delivery, of which there is no more than an id in
// memory meanwhile, and reads it again.
func (l *Loader) loadAfterWait(ctx context.Context, by callbacks.JobRef, id uuid.UUID, want payloads.Want) (*Input, error) {
	held, err := l.cfg.Payloads.Wait(ctx, want)
	if err != nil {
		return nil, callbacks.Stall("take the bytes of the delivery", err)
	}
	in, err := l.read(ctx, by, id)
	if in == nil {
		held.Release()
		return nil, err
	}
	in.Payloads = held
	return in, nil
}

// want is what an attempt needs that was not loaded with its delivery. A checker gets the
// data.
func (l *Loader) want(by callbacks.JobRef, in *Input) payloads.Want {
	want := payloads.Want{IntentID: in.IntentID, Share: by.Share}
	if in.bodyBytes > 0 {
		want.Stored = append(want.Stored, payloads.Size{Name: in.Dialect, Bytes: in.bodyBytes})
	}
	if in.dataBytes > 0 && l.cfg.Rereader.AccessIsOld(in) {
		want.Stored = append(want.Stored, payloads.Size{Name: payloads.Data, Bytes: in.dataBytes})
	}
	return want
}

// read reads a delivery, unless it has moved on to another job than by; then it is nil.
func (l *Loader) read(ctx context.Context, by callbacks.JobRef, id uuid.UUID) (*Input, error) {
	if err := l.cfg.Turns.Enter(ctx, by.Share); err != nil {
		return nil, err
	}
	in, err := l.loads.DoOf(ctx, by.Share, id)
	l.cfg.Turns.Leave(by.Share)
	if err != nil {
		return nil, callbacks.Stall("load the delivery", err)
	}
	if in == nil || in.State != attempt.StatePending || in.Hold != "" || in.JobID == nil || *in.JobID != by.JobID {
		return nil, nil
	}
	return in, nil
}

// Left returns the deliveries that earlier runs of a job have left to it, except for
// those that this run has just made.
func (l *Loader) Left(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID, fresh []*Input) ([]uuid.UUID, error) {
	ids, err := l.cfg.Store.CarriedDeliveries(ctx, &store.CarriedDeliveriesParams{IntentID: intentID, JobID: by.JobID})
	if err != nil {
		return nil, callbacks.Stall("load the deliveries of an intent", err)
	}
	made := make(map[uuid.UUID]bool, len(fresh))
	for _, in := range fresh {
		made[in.ID] = true
	}
	return slices.DeleteFunc(ids, func(id uuid.UUID) bool { return made[id] }), nil
}

// load is the flush of the batch of loads.
func (l *Loader) load(ctx context.Context, ids []uuid.UUID) ([]*Input, error) {
	readAt := time.Now()
	rows, err := l.cfg.Store.LoadDeliveries(ctx, &store.LoadDeliveriesParams{Ids: store.UUIDs(ids), Inline: payloads.Inline})
	if err != nil {
		return nil, fmt.Errorf("delivery: load deliveries: %w", err)
	}
	byID := make(map[uuid.UUID]*Input, len(rows))
	now := time.Now()
	for i := range rows {
		if byID[rows[i].ID], err = loaded(&rows[i], readAt, now); err != nil {
			return nil, fmt.Errorf("delivery: load deliveries: %w", err)
		}
	}
	out := make([]*Input, len(ids))
	for i, id := range ids {
		out[i] = byID[id]
	}
	return out, nil
}

// loaded is the input of a delivery that was loaded at a time, now.
func loaded(row *store.LoadDeliveriesRow, readAt, now time.Time) (*Input, error) {
	in := &Input{Target: attempt.Target{
		ID:       row.ID,
		IntentID: row.IntentID,
		Sub:      attempt.Subscription{ID: row.SubscriptionID, Site: row.SubscriptionSite},
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
		Message: dialect.Message{
			ID:          row.WireID,
			Type:        row.Type,
			ContentType: row.ContentType,
			Body:        row.Body,
			OccurredAt:  row.OccurredAt.UTC(),
		},
		Dialect:     row.Dialect,
		Epoch:       row.Epoch,
		BodyLater:   row.BodyBytes > 0,
		DataLater:   row.DataBytes > 0,
		TreeVersion: row.TreeVersion,
		State:       attempt.State(row.State),
		Hold:        attempt.Hold(row.Hold),
		JobID:       row.JobID,
		Round:       row.Round,
		Seq:         row.AttemptSeq,
		Attempts:    row.Attempts,
		Interrupted: row.Interrupted,
		Manual:      row.Manual,
		AtOnce:      row.AtOnce,
		ReadAt:      readAt,
	}}
	in.bodyBytes, in.dataBytes = row.BodyBytes, row.DataBytes
	if row.AccessAgeMs >= 0 {
		in.AccessAt = now.Add(-time.Duration(row.AccessAgeMs) * time.Millisecond)
	}
	for field, into := range map[string]struct {
		raw json.RawMessage
		to  any
	}{
		"attributes":      {row.Attributes, &in.Event.Attributes},
		"message headers": {row.MessageHeaders, &in.Message.Headers},
	} {
		if err := json.Unmarshal(into.raw, into.to); err != nil {
			return nil, fmt.Errorf("%s of delivery %s: %w", field, row.ID, err)
		}
	}
	var err error
	if in.Ended, err = callbacks.ParseEndedRuns(row.EndedRuns); err != nil {
		return nil, fmt.Errorf("delivery %s: %w", row.ID, err)
	}
	err = in.refresh(&store.RereadTargetsRow{
		URL:                row.URL,
		Owner:              row.Owner,
		Operator:           row.Operator,
		Permission:         row.Permission,
		Headers:            row.Headers,
		Schedule:           row.Schedule,
		TimeoutMs:          row.TimeoutMs,
		MaxInFlight:        row.MaxInFlight,
		RateEvents:         row.RateEvents,
		RatePerMs:          row.RatePerMs,
		RateBurst:          row.RateBurst,
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		SubscriptionEpoch:  row.SubscriptionEpoch,
		SubscriptionState:  row.SubscriptionState,
		StateReason:        row.StateReason,
		Deleted:            row.Deleted,
		Secrets:            row.Secrets,
		AskedMs:            row.AskedMs,
		CircuitMs:          row.CircuitMs,
		CircuitOpened:      row.CircuitOpened,
		Trial:              row.Trial,
		Probed:             row.Probed,
		Probe:              row.Probe,
		Gone:               row.Gone,
		Failing:            row.Failing,
		MessageGone:        row.MessageGone,
	}, now)
	return in, err
}
