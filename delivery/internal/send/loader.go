package send

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// RereadAfter is the age at which an engine reads what an attempt is made from again,
// right before its request.
const RereadAfter = time.Second

// LoaderConfig is what a Loader reads from, and by.
type LoaderConfig struct {
	Batch        batch.Config
	Calls        *callbacks.Calls
	Frequent     *store.Queries // with plans that are kept
	MaxAccessAge time.Duration  // at which an answer about access is old
	Payloads     *payloads.Pool
	Store        *store.Queries
}

// Loader reads the deliveries of attempts, and reads again what has waited. Callers that
// read at the same time share a statement. It is safe for concurrent use.
type Loader struct {
	LoaderConfig

	// RereadAfter is the age at which what was read is old. It must be set before the
	// first use.
	RereadAfter time.Duration

	loads   *batch.Group[uuid.UUID, *Input]
	rereads *batch.Group[readKey, *store.RereadTargetsRow]
}

// NewLoader makes a loader, which reads from a database until Close.
func NewLoader(cfg *LoaderConfig) *Loader {
	l := &Loader{LoaderConfig: *cfg, RereadAfter: RereadAfter}
	l.loads = batch.New(cfg.Batch, l.load)
	l.rereads = batch.New(cfg.Batch, l.reread)
	return l
}

// Close ends reading.
func (l *Loader) Close() {
	l.loads.Close()
	l.rereads.Close()
}

// caller is how a run of a job calls host code for an attempt.
func (l *Loader) caller(by callbacks.JobRef, in *Input) *callbacks.Caller {
	return l.Calls.Caller(by, in.ID, in.Ended, func(ctx context.Context, text string) (int64, error) {
		return l.Store.MarkDelivery(ctx, &store.MarkDeliveryParams{
			ID:        in.ID,
			Seq:       in.Seq,
			EndedRuns: text,
		})
	})
}

// Load reads a delivery, unless it has moved on to another job than by; then it is nil. The
// caller must release its payloads.
func (l *Loader) Load(ctx context.Context, by callbacks.JobRef, id uuid.UUID) (*Input, error) {
	in, err := l.loads.Do(ctx, id)
	if err != nil {
		return nil, callbacks.Stall("load the delivery", err)
	}
	if in == nil || in.State != attempt.StatePending || in.Hold != "" || in.JobID == nil || *in.JobID != by.JobID {
		return nil, nil
	}
	in.Payloads = l.Payloads.Hold(in.IntentID)
	return in, nil
}

// Left returns the deliveries that earlier runs of a job have left to it, except for
// those that this run has just made.
func (l *Loader) Left(ctx context.Context, by callbacks.JobRef, intentID uuid.UUID, fresh []*Input) ([]uuid.UUID, error) {
	ids, err := l.Store.CarriedDeliveries(ctx, &store.CarriedDeliveriesParams{IntentID: intentID, JobID: by.JobID})
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
	rows, err := l.Store.LoadDeliveries(ctx, &store.LoadDeliveriesParams{Ids: store.UUIDs(ids), Inline: payloads.Inline})
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

// readKey names what an attempt was made from. Delivery is the zero id of a ping or a
// challenge.
type readKey struct {
	Delivery     uuid.UUID
	Subscription uuid.UUID
}

// reread is the flush of the batch of rereads. What is not there any more is nil.
func (l *Loader) reread(ctx context.Context, keys []readKey) ([]*store.RereadTargetsRow, error) {
	p := &store.RereadTargetsParams{}
	for _, key := range keys {
		p.Ids = append(p.Ids, key.Delivery.String())
		p.Subscriptions = append(p.Subscriptions, key.Subscription.String())
	}
	rows, err := l.Frequent.RereadTargets(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("delivery: read deliveries again: %w", err)
	}
	byKey := make(map[readKey]*store.RereadTargetsRow, len(rows))
	for _, row := range rows {
		byKey[readKey{row.ID, row.SubscriptionID}] = &row
	}
	out := make([]*store.RereadTargetsRow, len(keys))
	for i, key := range keys {
		out[i] = byKey[key]
	}
	return out, nil
}

// age is the time since a moment, by the clock that has gone further: one of them
// stands still while the machine sleeps, the other can be set back.
func age(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// IsOld says whether an input has to be read again before its request.
func (l *Loader) IsOld(in *Input) bool { return age(in.ReadAt, time.Now()) > l.RereadAfter }

// AccessIsOld says whether access has to be checked again.
func (l *Loader) AccessIsOld(in *Input) bool {
	return !in.Sub.Operator && age(in.AccessAt, time.Now()) > l.MaxAccessAge
}

// Refresh reads an input again. It returns false if there is nothing to send: the
// delivery was moved on by somebody else, or is gone.
func (l *Loader) Refresh(ctx context.Context, in *Input) (still bool, err error) {
	readAt := time.Now()
	row, err := l.rereads.Do(ctx, readKey{in.ID, in.Sub.ID})
	switch {
	case err != nil:
		return false, err
	case row == nil:
		return false, nil
	case in.HasRow() && (!row.Known || attempt.State(row.State) != attempt.StatePending || row.Hold != "" || row.AttemptSeq != in.Seq):
		return false, nil
	}
	if err := in.refresh(row, time.Now()); err != nil {
		return false, err
	}
	in.ReadAt = readAt
	return true, nil
}

// isCurrent says, right before a request, whether what it was made from is still in
// force. It reads the database only if that was read too long ago.
func (l *Loader) isCurrent(ctx context.Context, in *Input) bool {
	if !l.IsOld(in) {
		return true
	}
	now := *in
	if still, err := l.Refresh(ctx, &now); err != nil || !still || !sameRequest(in, &now) {
		return false
	}
	if in.ID != uuid.Nil && now.BlockedBy(time.Now()) != nil || in.HasRow() && l.AccessIsOld(in) {
		return false
	}
	in.ReadAt = now.ReadAt
	return true
}

// sameRequest says whether a request that was made from one input would be made from the
// other as well. That of a challenge goes to the URL that waits for its proof.
func sameRequest(in, now *Input) bool {
	return (in.EndpointKey() == now.EndpointKey() && in.Sub.URL == now.Sub.URL || in.ID == uuid.Nil && in.Sub.URL == now.Sub.PendingURL) &&
		(in.ID != uuid.Nil || !now.Sub.Deleted) &&
		in.Sub.CredentialsVersion == now.Sub.CredentialsVersion &&
		maps.Equal(in.Sub.Headers, now.Sub.Headers) &&
		(in.ID == uuid.Nil || slices.EqualFunc(in.Stored, now.Stored, bytes.Equal))
}
