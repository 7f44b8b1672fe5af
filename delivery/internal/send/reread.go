package send

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
	"github.com/riverhook/riverhook/subscription"
)

// RereadAfter is the age at which an engine reads what an attempt is made from again,
// right before its request.
const RereadAfter = time.Second

// RereaderConfig is what a Rereader reads from, and by.
type RereaderConfig struct {
	Batch        batch.Config
	Frequent     *store.Queries // with plans that are kept
	MaxAccessAge time.Duration  // at which an answer about access is old
}

// Rereader reads again what attempts are made from that have waited. Callers that read at
// the same time share a statement. It is safe for concurrent use.
type Rereader struct {
	// After is the age at which what was read is old: RereadAfter. It must be set before
	// the first use.
	After time.Duration

	cfg     RereaderConfig
	rereads *batch.Group[readKey, *store.RereadTargetsRow]
}

// NewRereader makes a rereader, which reads from a database until Close.
func NewRereader(cfg *RereaderConfig) *Rereader {
	r := &Rereader{After: RereadAfter, cfg: *cfg}
	r.rereads = batch.New(cfg.Batch, r.reread)
	return r
}

// Close ends reading.
func (r *Rereader) Close() { r.rereads.Close() }

// age is the time since a moment, by the clock that has gone further: one of them
// stands still while the machine sleeps, the other can be set back.
func age(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// IsOld says whether an input has to be read again before its request.
func (r *Rereader) IsOld(in *Input) bool { return age(in.ReadAt, time.Now()) > r.After }

// Refresh reads an input again. It returns false if there is nothing to send: the
// delivery was moved on by somebody else, or is gone.
func (r *Rereader) Refresh(ctx context.Context, in *Input) (still bool, err error) {
	readAt := time.Now()
	row, err := r.rereads.Do(ctx, readKey{in.ID, in.Sub.ID})
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

// readKey names what an attempt was made from. Delivery is the zero id of a ping or a
// challenge.
type readKey struct {
	Delivery     uuid.UUID
	Subscription uuid.UUID
}

// reread is the flush of the batch of rereads. What is not there any more is nil.
func (r *Rereader) reread(ctx context.Context, keys []readKey) ([]*store.RereadTargetsRow, error) {
	p := &store.RereadTargetsParams{}
	for _, key := range keys {
		p.Ids = append(p.Ids, key.Delivery.String())
		p.Subscriptions = append(p.Subscriptions, key.Subscription.String())
	}
	rows, err := r.cfg.Frequent.RereadTargets(ctx, p)
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

// refresh brings an input up to date with what was read now.
func (in *Input) refresh(row *store.RereadTargetsRow, now time.Time) error {
	sub := attempt.Subscription{
		ID:                 in.Sub.ID,
		Site:               in.Sub.Site,
		URL:                row.URL,
		PendingURL:         row.PendingURL,
		Owner:              row.Owner,
		Operator:           row.Operator,
		Permission:         row.Permission,
		Schedule:           row.Schedule,
		Timeout:            time.Duration(row.TimeoutMs) * time.Millisecond,
		MaxInFlight:        row.MaxInFlight,
		Rate:               attempt.NewRate(row.RateEvents, time.Duration(row.RatePerMs)*time.Millisecond, row.RateBurst),
		CredentialsVersion: row.CredentialsVersion,
		URLVersion:         row.URLVersion,
		Epoch:              row.SubscriptionEpoch,
		Deleted:            row.Deleted,
	}
	if err := json.Unmarshal(row.Headers, &sub.Headers); err != nil {
		return fmt.Errorf("headers of subscription %s: %w", sub.ID, err)
	}
	in.Sub = withState(sub, subscription.State(row.SubscriptionState), row.StateReason)
	if !slices.EqualFunc(row.Secrets, in.Stored, bytes.Equal) {
		in.Stored = row.Secrets
		in.Secrets = nil
		in.Opened = false
	}
	in.Endpoint = attempt.Endpoint{
		AskedUntil:    attempt.In(now, row.AskedMs),
		CircuitUntil:  attempt.In(now, row.CircuitMs),
		CircuitOpened: row.CircuitOpened,
		Trial:         row.Trial,
		Probed:        row.Probed,
		Probe:         row.Probe,
		Gone:          row.Gone,
		Failing:       row.Failing,
	}
	in.MessageGone = row.MessageGone
	return nil
}
