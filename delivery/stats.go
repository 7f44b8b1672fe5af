package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/migration"
)

// Stats are counts of what is under way, by the database's clock. What has ended
// is not counted: that would read the whole history.
type Stats struct {
	Due              int           `json:"due"`               // pending deliveries whose time has come, requests under way included
	Scheduled        int           `json:"scheduled"`         // pending deliveries that wait for their next attempt
	HeldByCircuit    int           `json:"held_by_circuit"`   // pending deliveries whose endpoint fails
	HeldByPause      int           `json:"held_by_pause"`     // pending deliveries whose subscription is paused
	HeldByRate       int           `json:"held_by_rate"`      // pending deliveries whose subscription, or its owner, has used up its rate
	HeldBySlots      int           `json:"held_by_slots"`     // pending deliveries whose endpoint has enough requests in flight
	PendingIntents   int           `json:"pending_intents"`   // intents that are not expanded yet, those for later included
	WaitingDecisions int           `json:"waiting_decisions"` // decisions that are to be tried again
	OldestDue        time.Duration `json:"oldest_due_ns"`     // how long the oldest due delivery has been due; 0: none is
	OldestIntent     time.Duration `json:"oldest_intent_ns"`  // how long the oldest pending intent has been due; 0: none is
	Engines          int           `json:"engines"`           // engines with a fresh heartbeat
}

// Stats counts what is under way, in every process. It reads by indexes of what
// is pending alone, in time that grows with that.
func (h *History) Stats(ctx context.Context) (*Stats, error) {
	row, err := h.store.GetStats(ctx, heartbeat.DeadAfter.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("delivery: stats: %w", migration.Explain(err))
	}
	return &Stats{
		Due:              int(row.Due),
		Scheduled:        int(row.Scheduled),
		HeldByCircuit:    int(row.Circuit),
		HeldByPause:      int(row.Paused),
		HeldByRate:       int(row.Rate),
		HeldBySlots:      int(row.Slots),
		PendingIntents:   int(row.PendingIntents),
		WaitingDecisions: int(row.WaitingDecisions),
		OldestDue:        time.Duration(row.OldestMs) * time.Millisecond,
		OldestIntent:     time.Duration(row.OldestIntentMs) * time.Millisecond,
		Engines:          int(row.Engines),
	}, nil
}
