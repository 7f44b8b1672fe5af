package maintain

import "context"

// Pace is how much a task reads in a round. A task reads a part of an index at a time, in its
// order, goes on in the next round from where it has stopped, and begins again when it has
// come to the end.
type Pace struct {
	Rows int // that a step reads, 2 at least
	Idle int // that a round reads and that need nothing; 0: a round goes to the end
	Busy int // about which a round does something, if it does not go to the end
}

var (
	// Rounds is the pace of a started engine: what a round costs does not depend on what is
	// there. Up to 2,000 rows are all read in each round. docs/operations.md has the figures.
	Rounds = Pace{
		Rows: 1000,
		Idle: 2000,
		Busy: 50_000,
	}

	// Whole is the pace of rounds that read everything.
	Whole = Pace{Rows: 1000}
)

// step is what one step has come to.
type step struct {
	busy int  // rows about which something was done
	idle int  // rows that were read and need nothing
	end  bool // nothing is left
}

// walk takes the steps of a round. It returns about how many rows something was done.
func (p Pace) walk(ctx context.Context, next func(ctx context.Context) (step, error)) (busy int, err error) {
	for idle := 0; ; {
		s, err := next(ctx)
		busy += s.busy
		idle += s.idle
		if err != nil || s.end || p.Idle > 0 && (idle >= p.Idle || busy >= p.Busy) {
			return busy, err
		}
	}
}
