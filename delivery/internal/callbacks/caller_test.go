package callbacks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// row records the marks of a run as a row of the database does.
type row struct {
	marks []string
	gone  bool
	err   error
}

func (r *row) mark(_ context.Context, text string) (int64, error) {
	if r.err != nil || r.gone {
		return 0, r.err
	}
	r.marks = append(r.marks, text)
	return 1, nil
}

var died = callbacks.JobRef{
	JobID: 1,
	Rerun: true,
	Died:  true,
}

func TestCaller_AFirstRunRecordsNothing(t *testing.T) {
	t.Parallel()
	var r row
	calls := callbacks.New()
	caller := calls.Caller(callbacks.JobRef{JobID: 1}, uuid.New(), callbacks.EndedRuns{}, r.mark)
	called := 0

	require.NoError(t, caller.Call(t.Context(), callbacks.StepTree, func() { called++ }))
	require.NoError(t, (*callbacks.Caller)(nil).Call(t.Context(), callbacks.StepTree, func() { called++ }))

	require.Equal(t, 2, called)
	require.Empty(t, r.marks)
	require.False(t, caller.Alone())
	require.Same(t, calls.First(), caller)
}

func TestCaller_ASuspectRecordsEachStep(t *testing.T) {
	t.Parallel()
	var r row
	caller := callbacks.New().Caller(died, uuid.New(), callbacks.EndedRuns{Unsent: true}, r.mark)
	require.True(t, caller.Alone())

	require.NoError(t, caller.Call(t.Context(), callbacks.StepDialect("plain"), func() {
		require.Equal(t, []string{`{"runs":{"the dialect \"plain\"":1},"unsent":true}`}, r.marks)
	}))
	require.Equal(t, `{"unsent":true}`, r.marks[1])
	require.NoError(t, caller.CallLast(t.Context(), callbacks.StepTree, func() {}))
	require.Equal(t, []string{`{"runs":{"the tree of sites":1},"unsent":true}`, ""}, r.marks[2:], "a request may be sent now")
}

func TestCaller_GivesAStepUpAfterMaxEndedRuns(t *testing.T) {
	t.Parallel()
	for runs, called := range map[int]bool{callbacks.MaxEndedRuns - 1: true, callbacks.MaxEndedRuns: false} {
		var r row
		ended := callbacks.EndedRuns{Runs: map[string]int{callbacks.StepTree.String(): runs}}
		caller := callbacks.New().Caller(callbacks.JobRef{}, uuid.New(), ended, r.mark)
		was := false

		err := caller.Call(t.Context(), callbacks.StepTree, func() { was = true })

		require.Equal(t, called, was)
		require.Equal(t, !called, callbacks.IsEnded(err))
		if !called {
			require.EqualError(t, err, "process ended three times in the tree of sites")
			require.NoError(t, caller.Call(t.Context(), callbacks.StepFilters, func() {}), "another step is tried")
		}
	}
}

func TestCaller_StallsIfItsMarkIsNotRecorded(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*row{"error": {err: errors.New("down")}, "moved on": {gone: true}} {
		caller := callbacks.New().Caller(died, uuid.New(), callbacks.EndedRuns{}, r.mark)

		err := caller.Call(t.Context(), callbacks.StepTree, func() { t.Error("it was called") })

		require.True(t, callbacks.IsStall(err), name)
		require.ErrorContains(t, err, "delivery: record a step: ", name)
		require.Equal(t, err, caller.Stalled(), name)
		*r = row{}
		require.Equal(t, err, caller.Call(t.Context(), callbacks.StepTree, func() { t.Error("it was called") }), name)
	}
}

// What the database could not record stays true of the run in this process.
func TestCalls_RememberARunThatReturned(t *testing.T) {
	t.Parallel()
	var (
		r     row
		calls = callbacks.New()
		of    = uuid.New()
	)
	caller := calls.Caller(died, of, callbacks.EndedRuns{}, r.mark)

	err := caller.Call(t.Context(), callbacks.StepTree, func() { r.err = errors.New("down") })

	require.True(t, callbacks.IsStall(err))
	require.Equal(t, 1, calls.Unrecorded())
	stored, err := callbacks.ParseEndedRuns(r.marks[0])
	require.NoError(t, err)
	require.Equal(t, 1, stored.Runs[callbacks.StepTree.String()])
	require.True(t, calls.Caller(died, of, stored, r.mark).Ended().Empty(), "it returned")
	require.False(t, calls.Caller(died, uuid.New(), stored, r.mark).Ended().Empty(), "another run")
}

func TestCalls_StopTakesTheMarkOfAStepBack(t *testing.T) {
	t.Parallel()
	var r row
	calls := callbacks.New()
	caller := calls.Caller(died, uuid.New(), callbacks.EndedRuns{}, r.mark)

	require.NoError(t, caller.Call(t.Context(), callbacks.StepTree, func() {
		require.Len(t, r.marks, 1)
		require.NoError(t, calls.Stop(t.Context()))
		require.Empty(t, r.marks[1])
	}))
	r.marks = nil
	require.NoError(t, caller.Call(t.Context(), callbacks.StepTree, func() { require.Empty(t, r.marks) }))
}

func TestEndedRuns_GivenUpKeepsWhatIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	r := callbacks.EndedRuns{
		Runs:   map[string]int{"a": callbacks.MaxEndedRuns, "b": callbacks.MaxEndedRuns - 1},
		Unsent: true,
	}
	require.Equal(t, callbacks.EndedRuns{Runs: map[string]int{"a": callbacks.MaxEndedRuns}}, r.GivenUp())
}

func TestEndedRuns_MergeTakesTheMostOfEachStep(t *testing.T) {
	t.Parallel()
	a := callbacks.EndedRuns{Runs: map[string]int{"a": 1, "b": 2}}
	b := callbacks.EndedRuns{Runs: map[string]int{"a": 2, "c": 1}}
	require.Equal(t, map[string]int{"a": 2, "b": 2, "c": 1}, a.Merge(b).Runs)
	require.Equal(t, map[string]int{"a": 1, "b": 2}, a.Runs, "a is as it was")
	require.Equal(t, b.Runs, callbacks.EndedRuns{}.Merge(b).Runs)
}
