package expand_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/payloads"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/sitetree"
	"github.com/riverhook/riverhook/subscription"
)

func TestExpander_CommitsADecisionForEachSubscription(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.checks = func(r access.Request) error {
		switch r.Principal {
		case "bob":
			return access.ErrDenied
		case "eve":
			return access.ErrUnknownPrincipal
		default:
			return nil
		}
	}
	may := b.subscribe(nil)
	denied := b.subscribe(func(s *subscription.Spec) { s.Owner = "bob" })
	unknown := b.subscribe(func(s *subscription.Spec) { s.Owner = "eve" })
	other := b.subscribe(func(s *subscription.Spec) { s.Events = []string{"user.deleted"} })
	in := b.enqueue()

	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))

	require.Equal(t, map[uuid.UUID]string{
		may.ID:     "pending, paused",
		denied.ID:  `denied: "bob" may not view the resource`,
		unknown.ID: `unresolvable: there is no principal "eve"`,
	}, b.outcomes(in))
	require.NotContains(t, b.outcomes(in), other.ID)
	var unresolved int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT unresolvable FROM riverhook.subscription_health WHERE subscription_id = $1`,
		unknown.ID).Scan(&unresolved))
	require.Equal(t, 1, unresolved)
	state, _ := b.state(in)
	require.Equal(t, "expanded", state)

	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil), "a rerun finds nothing to do")
	require.Len(t, b.outcomes(in), 3)
}

func TestExpander_AnIntentThatIsGoneIsNoError(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	require.NoError(t, b.Expand(t.Context(), callbacks.JobRef{JobID: 1}, 0, uuid.New(), uuid.Nil))
}

func TestExpander_LeavesTheNextChunkToAnotherJob(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Limits.ChunkSize = 2
	for range 5 {
		b.subscribe(nil)
	}
	in := b.enqueue()

	for chunk, want := range []int{2, 4, 5} {
		var after uuid.UUID
		require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT job_id, after FROM riverhook.intent_state WHERE intent_id = $1`,
			in.id).Scan(&in.by.JobID, &after))
		require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, after))
		require.Len(t, b.outcomes(in), want)
		state, _ := b.state(in)
		require.Equal(t, chunk == 2, state == "expanded")
	}
}

func TestExpander_FailsAnIntentAfterItsLastFailure(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.ancestors = func(hierarchy.Path) ([]hierarchy.Path, error) { return nil, nil }
	in := b.enqueue()

	require.ErrorIs(t, b.Expand(t.Context(), in.by, 18, in.id, uuid.Nil), sitetree.ErrContract)
	state, _ := b.state(in)
	require.Equal(t, "pending", state)

	require.ErrorIs(t, b.Expand(t.Context(), in.by, 19, in.id, uuid.Nil), sitetree.ErrContract)
	state, reason := b.state(in)
	require.Equal(t, "failed", state)
	require.Contains(t, reason, "broke its contract")
}

// It waits, however often.
func TestExpander_WhatCannotBeAskedFailsNoIntent(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(b *bundle){
		"a tree that is down": func(b *bundle) {
			b.ancestors = func(hierarchy.Path) ([]hierarchy.Path, error) { return nil, errors.New("the tree is down") }
		},
		"a lookup that fails": func(b *bundle) {
			_, err := b.pool.Exec(t.Context(), `ALTER TABLE riverhook.subscription RENAME TO elsewhere`)
			require.NoError(b.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBundle(t)
			b.subscribe(nil)
			in := b.enqueue()
			spoil(b)

			for _, failed := range []int{0, 19, 1000} {
				require.True(t, callbacks.IsStall(b.Expand(t.Context(), in.by, failed, in.id, uuid.Nil)))
			}

			state, _ := b.state(in)
			require.Equal(t, "pending", state)
		})
	}
}

func TestExpander_TroubleOfTheDatabaseFailsNoIntent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.ancestors = func(hierarchy.Path) ([]hierarchy.Path, error) { return nil, nil }
	b.Down = func() bool { return true }
	in := b.enqueue()

	require.Error(t, b.Expand(t.Context(), in.by, 19, in.id, uuid.Nil))

	state, _ := b.state(in)
	require.Equal(t, "pending", state)
}

func TestExpander_AStepThatIsGivenUpFailsTheIntent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	in := b.enqueue()
	_, err := b.pool.Exec(t.Context(), `UPDATE riverhook.intent_state SET ended_runs = '{"runs": {"the tree of sites": 3}}'`)
	require.NoError(t, err)

	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))

	state, reason := b.state(in)
	require.Equal(t, "failed", state)
	require.Equal(t, "process ended three times in the tree of sites", reason)
}

func TestExpander_WaitsForTheBytesOfAnIntent(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.Decider.Messages.MaxBytes = 1 << 20
	b.subscribe(nil)
	in := b.enqueue()
	const large, most = 2 * payloads.Inline, 1 << 20
	_, err := b.pool.Exec(t.Context(), `UPDATE riverhook.intent SET data = convert_to('"' || repeat('d', $1 - 2) || '"', 'UTF8')`, large)
	require.NoError(t, err)
	pool := payloads.New(payloads.Config{
		Bytes:   most,
		MaxWait: time.Millisecond,
		Store:   b.Intents.Store,
	})
	t.Cleanup(pool.Close)
	b.Intents.Payloads = pool
	taken := -1
	b.checks = func(access.Request) error {
		taken = pool.Taken()
		return nil
	}

	const others = most - most/8 - 2*large + 1 // an eighth is for questions
	pool.Count(others)
	err = b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil)
	require.ErrorIs(t, err, payloads.ErrFull)
	require.True(t, callbacks.IsStall(err), "nothing has happened")
	require.Equal(t, -1, taken, "nobody was asked")
	require.Empty(t, b.outcomes(in))

	pool.Uncount(others)
	require.NoError(t, b.Expand(t.Context(), in.by, 0, in.id, uuid.Nil))
	require.Equal(t, 2*large, taken, "the data, and a message that is as large")
	require.Len(t, b.outcomes(in), 1)
	require.Zero(t, pool.Taken())
}
