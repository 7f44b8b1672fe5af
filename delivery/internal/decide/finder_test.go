package decide_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

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
		found, err := f.Find(t.Context(), by, "", asked)
		require.NoError(t, err)
		require.Empty(t, found.Matches)
	}
	require.Len(t, marks, 4, "the suspect has recorded two steps")
	_, err := f.Locate(t.Context(), ended, asked)
	require.True(t, callbacks.IsEnded(err))
	_, err = f.Stale(t.Context(), ended, resolve.Standing{})
	require.True(t, callbacks.IsEnded(err))
}

// hangingTree hangs for some paths until it is released or its deadline.
type hangingTree struct {
	hangs   func(p hierarchy.Path) bool
	hanging chan struct{} // one for each call that hangs
	release chan struct{}
}

func newHangingTree(hangs func(p hierarchy.Path) bool) *hangingTree {
	return &hangingTree{
		hangs:   hangs,
		hanging: make(chan struct{}, 100),
		release: make(chan struct{}),
	}
}

func (h *hangingTree) Ancestors(ctx context.Context, p hierarchy.Path) ([]hierarchy.Path, error) {
	if h.hangs(p) {
		h.hanging <- struct{}{}
		select {
		case <-h.release:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return p.Ancestors(), nil
}

// batchTree answers for many paths at once.
type batchTree struct{ *hangingTree }

func (b batchTree) AncestorsMany(ctx context.Context, paths []hierarchy.Path) (chains [][]hierarchy.Path, err error) {
	for _, p := range paths {
		chain, err := b.Ancestors(ctx, p)
		if err != nil {
			return nil, err
		}
		chains = append(chains, chain)
	}
	return chains, nil
}

func at(site string) resolve.Lookup {
	return decide.LookupOf(uuid.New(), &dialect.Event{Type: "user.created", Site: site}, 0)
}

// More lookups of a tenant hang than batches go on at once.
func TestFinder_ATreeThatHangsForOneTenantDelaysNoOther(t *testing.T) {
	t.Parallel()
	for name, together := range map[string]bool{"one path at a time": false, "many paths at once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hanging := newHangingTree(func(p hierarchy.Path) bool { return p != "/fast" })
			var of hierarchy.Tree = hanging
			if together {
				of = batchTree{hanging}
			}
			f := finder(t, of)
			slow := make(chan error, 10)
			for n := range cap(slow) {
				go func() {
					_, err := f.Find(t.Context(), nil, "", at(fmt.Sprint("/slow/", n)))
					slow <- err
				}()
			}
			<-hanging.hanging
			<-hanging.hanging

			for range 3 {
				_, err := f.Find(t.Context(), nil, "", at("/fast"))
				require.NoError(t, err)
				place, err := f.Locate(t.Context(), nil, at("/fast"))
				require.NoError(t, err)
				require.Equal(t, hierarchy.Path("/fast"), place.Site)
			}

			close(hanging.release)
			for range cap(slow) {
				require.NoError(t, <-slow, "it was not at its deadline when the others had their answers")
			}
		})
	}
}

// One path of a tenant is never answered. Those that were asked together with it are asked alone.
func TestFinder_ATreeThatHangsForOnePathOfATenantAnswersAboutTheOthers(t *testing.T) {
	t.Parallel()
	hanging := newHangingTree(func(p hierarchy.Path) bool { return p == "/a/slow" })
	of := batchTree{hanging}
	resolver := resolve.New(pgtest.Pool(t), resolve.Config{Tree: of, TreeTimeout: 100 * time.Millisecond})
	f := decide.NewFinder(resolver, of, batch.Config{})
	t.Cleanup(f.Close)
	slow := make(chan error, 3)
	ask := func() {
		_, err := f.Locate(t.Context(), nil, at("/a/slow"))
		slow <- err
	}
	for range 2 { // as many as go on at once
		go ask()
		<-hanging.hanging
	}
	go ask()

	for n := range 5 {
		_, err := f.Locate(t.Context(), nil, at(fmt.Sprint("/a/", n)))
		require.NoError(t, err)
	}
	for range cap(slow) {
		require.ErrorIs(t, <-slow, context.DeadlineExceeded)
	}
}

// versions is a tree that has another version at each of the first looks.
type versions struct {
	tree

	asked atomic.Int64
	until int64
}

func (v *versions) Version(context.Context) (string, error) {
	return strconv.FormatInt(min(v.asked.Add(1), v.until), 10), nil
}

func TestFinder_LooksAgainWhileTheTreeChanges(t *testing.T) {
	t.Parallel()
	changing := &versions{until: 4}
	f := finder(t, changing)
	found, err := f.Find(t.Context(), nil, "", at("/a"))
	require.NoError(t, err)
	require.Equal(t, int64(6), changing.asked.Load(), "two looks were in vain")
	stale, err := f.Stale(t.Context(), nil, found.Standing)
	require.NoError(t, err)
	require.False(t, stale)

	_, err = finder(t, &versions{until: 1 << 30}).Find(t.Context(), nil, "", at("/a"))
	require.ErrorIs(t, err, hierarchy.ErrTreeChanges)
}

func TestFinder_OurTreesAreNoHostCode(t *testing.T) {
	t.Parallel()
	f := finder(t, hierarchy.Paths)
	ended := callbacks.New().Caller(callbacks.JobRef{}, uuid.New(),
		callbacks.EndedRuns{Runs: map[string]int{callbacks.StepTree.String(): callbacks.MaxEndedRuns}}, nil)

	_, err := f.Find(t.Context(), ended, "", decide.LookupOf(uuid.New(), &dialect.Event{Type: "user.created"}, 0))

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
