package maintain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// LostAfter is how long something due may be without a living River job before a new one
// is made.
const LostAfter = 15 * time.Second

// Maintainer does what no job does. What concerns its process it does in each round, and what
// concerns all while it has the lease. A task of another engine may run at the same time all
// the same: rows that another one holds are skipped. It is not safe for concurrent use.
type Maintainer struct {
	CauseProber   *CauseProber
	CauseReviewer *CauseReviewer
	Deactivator   *Deactivator
	Decisions     *DecisionExpirer
	Expirer       *HeldExpirer
	Forget        func() // drops what this process remembers and has not used lately
	Lease         *Lease // nil: it does everything
	Log           *slog.Logger
	Reconciler    *Reconciler
	Releaser      *HeldReleaser
}

// task is a part of a round. It returns about how many rows something was done.
type task struct {
	name string
	run  func(ctx context.Context) (rows int, err error)
}

// own are the tasks of each process.
func (m *Maintainer) own() []task {
	return []task{
		{"release what causes hold", m.CauseProber.Run},
		{"release held deliveries", m.Releaser.Run},
		{"give back rates", m.Releaser.Rates.Leases.GiveBack},
	}
}

// common are the tasks of one engine for all.
func (m *Maintainer) common() []task {
	return []task{
		{"find lost expansions and first attempts", m.Reconciler.Intents},
		{"find lost deliveries", m.Reconciler.Deliveries},
		{"find lost decisions", m.Reconciler.Decisions},
		{"expire held deliveries", m.Expirer.Run},
		{"expire held decisions", m.Decisions.Run},
		{"review what causes hold", m.CauseReviewer.Run},
		{"deactivate subscriptions", m.Deactivator.Run},
	}
}

// Round runs each task once. The error is of all tasks that failed; the others were run.
func (m *Maintainer) Round(ctx context.Context) error {
	m.Forget()
	var errs []error
	for _, t := range m.own() {
		errs = append(errs, m.run(ctx, t))
	}
	for _, t := range m.common() {
		leased, err := m.leased(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("delivery: lease of maintenance: %w", err))
		}
		if !leased {
			break
		}
		errs = append(errs, m.run(ctx, t))
	}
	return errors.Join(errs...)
}

func (m *Maintainer) leased(ctx context.Context) (bool, error) {
	if m.Lease == nil {
		return true, nil
	}
	return m.Lease.Hold(ctx)
}

func (m *Maintainer) run(ctx context.Context, t task) error {
	n, err := t.run(ctx)
	if err != nil {
		return fmt.Errorf("delivery: %s: %w", t.name, err)
	}
	if n > 0 {
		m.Log.InfoContext(ctx, "riverhook: maintenance", "task", t.name, "rows", n)
	}
	return nil
}
