package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/heartbeat"
	"github.com/riverhook/riverhook/internal/migration"
)

// Stats are counts of what is under way, by the database's clock. What has ended
// is not counted: that would read the whole history. A delivery that a rate lets go out within
// about two seconds counts as Scheduled.
type Stats struct {
	Due              int           `json:"due"`               // pending deliveries whose time has come, requests under way included
	Scheduled        int           `json:"scheduled"`         // pending deliveries that wait for their next attempt
	HeldByCause      int           `json:"held_by_cause"`     // pending deliveries that wait for what engines lack, or cannot ask
	HeldByCircuit    int           `json:"held_by_circuit"`   // pending deliveries whose endpoint fails, or has asked to wait
	HeldByPause      int           `json:"held_by_pause"`     // pending deliveries whose subscription is paused
	HeldByRate       int           `json:"held_by_rate"`      // pending deliveries whose subscription, or its owner, has used up its rate
	HeldBySlots      int           `json:"held_by_slots"`     // pending deliveries whose endpoint, or share, has enough requests in flight
	PendingIntents   int           `json:"pending_intents"`   // intents that are not expanded yet, those for later included
	WaitingDecisions int           `json:"waiting_decisions"` // decisions that are to be tried again, or are held for a cause
	OldestDue        time.Duration `json:"oldest_due_ns"`     // how long the oldest due delivery has been due; 0: none is
	OldestIntent     time.Duration `json:"oldest_intent_ns"`  // how long the oldest pending intent has been due; 0: none is
	Engines          int           `json:"engines"`           // engines with a fresh heartbeat
	Causes           []CauseStats  `json:"causes,omitempty"`  // for which something is held, by kind and name; up to 1000
}

// CauseStats is what is held for a cause.
type CauseStats struct {
	Cause

	Deliveries int       `json:"deliveries"`
	Decisions  int       `json:"decisions"`
	Since      time.Time `json:"since"` // when the oldest of it began to wait

	// ProbedAt is when an engine last tried whether the cause is over; nil: none has.
	ProbedAt *time.Time `json:"probed_at,omitempty"`

	// ProbeAt is when the next engine may try that; nil: as soon as the cause is found. It
	// is for what fails (check, sealer, tree, and key with a Sealer that is not seal.Rotating).
	// What is missing (checker, dialect, key, schedule) is not tried: it goes on within
	// about Config.Maintenance.Interval of the moment at which an engine has it, whatever
	// ProbeAt is.
	ProbeAt *time.Time `json:"probe_at,omitempty"`
}

// maxCauseStats bounds Stats.Causes.
const maxCauseStats = 1000

// Stats counts what is under way, in every process. It reads by indexes of what
// is pending alone, in time that grows with that.
func (h *History) Stats(ctx context.Context) (*Stats, error) {
	row, err := h.store.GetStats(ctx, heartbeat.DeadAfter.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("delivery: stats: %w", migration.Explain(err))
	}
	causes, err := h.store.ListCauses(ctx, maxCauseStats)
	if err != nil {
		return nil, fmt.Errorf("delivery: stats: %w", migration.Explain(err))
	}
	s := &Stats{
		Due:              int(row.Due),
		Scheduled:        int(row.Scheduled),
		HeldByCause:      int(row.Cause),
		HeldByCircuit:    int(row.Circuit),
		HeldByPause:      int(row.Paused),
		HeldByRate:       int(row.Rate),
		HeldBySlots:      int(row.Slots),
		PendingIntents:   int(row.PendingIntents),
		WaitingDecisions: int(row.WaitingDecisions),
		OldestDue:        time.Duration(row.OldestMs) * time.Millisecond,
		OldestIntent:     time.Duration(row.OldestIntentMs) * time.Millisecond,
		Engines:          int(row.Engines),
	}
	for i := range causes {
		c := &causes[i]
		s.Causes = append(s.Causes, CauseStats{
			Cause:      attempt.ParseCause(c.Name),
			Deliveries: int(c.Deliveries),
			Decisions:  int(c.Decisions),
			Since:      c.Since,
			ProbedAt:   c.ProbedAt,
			ProbeAt:    c.ProbeAt,
		})
	}
	return s, nil
}
