package maintain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	// LostAfter is how long something due may be without a living River job before a new
	// one is made.
	LostAfter = 15 * time.Second

	// maintainRows is how many rows one statement expires, or finds lost.
	maintainRows = 500
)

// Maintainer does what no job does. Each task may run at the same time in other engines:
// rows that another one holds are skipped.
type Maintainer struct {
	Deactivator *Deactivator
	Forget      func() // drops what this process remembers and has not used lately
	Log         *slog.Logger
	MaxHold     time.Duration // how long a delivery may be held
	Releaser    *HeldReleaser
	Store       *store.Queries // with plans that are kept
}

// Round runs each task once. What is due has lost its River job if no living one is there
// after lost; see LostAfter. The error is of all tasks that failed; the others were run.
func (m *Maintainer) Round(ctx context.Context, lost time.Duration) error {
	m.Forget()
	closer := IntentCloser{Store: m.Store}
	expirer := HeldExpirer{MaxHold: m.MaxHold, Store: m.Store}
	reconciler := Reconciler{Lost: lost, Store: m.Store}

	var errs []error
	if err := closer.Run(ctx); err != nil { // first: what is lost is found among the intents that are left
		errs = append(errs, fmt.Errorf("delivery: close intents: %w", err))
	}
	for _, task := range []struct {
		name string
		run  func(ctx context.Context) (rows int, err error)
	}{
		{"release held deliveries", m.Releaser.Run},
		{"expire held deliveries", expirer.Run},
		{"find lost deliveries", reconciler.Deliveries},
		{"find lost expansions", reconciler.Intents},
		{"find lost decisions", reconciler.Decisions},
		{"deactivate subscriptions", m.Deactivator.Run},
	} {
		n, err := task.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("delivery: %s: %w", task.name, err))
			continue
		}
		if n > 0 {
			m.Log.InfoContext(ctx, "riverhook: maintenance", "task", task.name, "rows", n)
		}
	}
	return errors.Join(errs...)
}
