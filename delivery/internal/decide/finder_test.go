package decide_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/decide"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/resolve"
)

// tree is one of an application.
type tree struct{ err error }

func (f *tree) Ancestors(_ context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	return p.Ancestors(), f.err
}

func finder(t *testing.T, of hierarchy.Tree) *decide.Finder {
	t.Helper()
	resolver := resolve.New(pgtest.Pool(t), resolve.Config{Tree: of})
	f := decide.NewFinder(resolver, of, batch.Config{})
	t.Cleanup(f.Close)
	return f
}

func TestFinder_ATreeOfTheApplicationIsAStep(t *testing.T) {
	t.Parallel()
	f := finder(t, &tree{})
	asked := decide.LookupOf(uuid.New(), &dialect.Event{Type: "user.created", Site: "/a"}, 0)
	var marks []string
	suspect := callbacks.New().Caller(callbacks.JobRef{Died: true}, uuid.New(), callbacks.EndedRuns{},
		func(_ context.Context, text string) (int64, error) {
			marks = append(marks, text)
			return 1, nil
		})
	ended := callbacks.New().Caller(callbacks.JobRef{}, uuid.New(),
		callbacks.EndedRuns{Runs: map[string]int{callbacks.StepTree.String(): callbacks.MaxEndedRuns}}, nil)

	for _, by := range []*callbacks.Caller{nil, callbacks.New().First(), suspect} {
		place, err := f.Locate(t.Context(), by, asked)
		require.NoError(t, err)
		require.Equal(t, hierarchy.Path("/a"), place.Site)
		found, err := f.Find(t.Context(), by, asked)
		require.NoError(t, err)
		require.Empty(t, found.Matches)
	}
	require.Len(t, marks, 4, "the suspect has recorded two steps")
	_, err := f.Locate(t.Context(), ended, asked)
	require.True(t, callbacks.IsEnded(err))
	_, err = f.Stale(t.Context(), ended, resolve.Standing{})
	require.True(t, callbacks.IsEnded(err))
}

func TestFinder_OurTreesAreNoHostCode(t *testing.T) {
	t.Parallel()
	f := finder(t, hierarchy.Paths)
	ended := callbacks.New().Caller(callbacks.JobRef{}, uuid.New(),
		callbacks.EndedRuns{Runs: map[string]int{callbacks.StepTree.String(): callbacks.MaxEndedRuns}}, nil)

	_, err := f.Find(t.Context(), ended, decide.LookupOf(uuid.New(), &dialect.Event{Type: "user.created"}, 0))

	require.NoError(t, err)
	stale, err := f.Stale(t.Context(), ended, resolve.Standing{})
	require.NoError(t, err)
	require.False(t, stale)
}

func TestFinder_ReturnsTheErrorOfATree(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	f := finder(t, &tree{err: down})
	_, err := f.Locate(t.Context(), nil, decide.LookupOf(uuid.New(), &dialect.Event{Type: "user.created", Site: "/a"}, 0))
	require.ErrorIs(t, err, down)
}
