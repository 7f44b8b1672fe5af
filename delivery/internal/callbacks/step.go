package callbacks

import (
	"errors"
	"fmt"
)

// Step is a call of host code that can end the process.
type Step struct{ What, Name string }

// The steps of expansions, decisions and attempts.
var (
	StepTree    = Step{What: "the tree of sites"}
	StepFilters = Step{What: "the filters"}
	StepSealer  = Step{What: "the sealer"}
)

// StepChecker is a call of the checker of a kind of resources.
func StepChecker(kind string) Step { return Step{"the access checker of resources of kind", kind} }

// StepDialect is a call of a dialect.
func StepDialect(name string) Step { return Step{"the dialect", name} }

// StepExternalizer is a call of an externalizer.
func StepExternalizer(dialect string) Step { return Step{"the externalizer of dialect", dialect} }

// String is how a step is recorded and shown.
func (s Step) String() string {
	if s.Name == "" {
		return s.What
	}
	return fmt.Sprintf("%s %q", s.What, s.Name)
}

// EndedError says that a step is given up: MaxEndedRuns runs ended their process in
// it.
type EndedError struct{ Step Step }

func (e *EndedError) Error() string { return ReasonEnded + e.Step.String() }

// IsEnded reports whether err is an EndedError.
func IsEnded(err error) bool {
	var ended *EndedError
	return errors.As(err, &ended)
}

// StallError is trouble with the database before anything was done: the job can run
// again as if it had not run.
type StallError struct {
	Action string // what failed
	Err    error
}

// Stall returns a StallError.
func Stall(action string, err error) error { return &StallError{Action: action, Err: err} }

func (s *StallError) Error() string { return "delivery: " + s.Action + ": " + s.Err.Error() }

// Unwrap returns the cause.
func (s *StallError) Unwrap() error { return s.Err }

// IsStall reports whether err is a StallError.
func IsStall(err error) bool {
	var stall *StallError
	return errors.As(err, &stall)
}
