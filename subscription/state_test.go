package subscription

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// stateModel is what the states of a subscription are allowed to do.
type stateModel struct {
	state  State
	reason string
	epoch  int
}

func (m *stateModel) change(to State, reason string) (changed, refused bool) {
	switch {
	case m.state == to:
		return false, false
	case m.state == StateDeactivated && to == StatePaused:
		return false, true
	case to == StateDeactivated:
		m.epoch++
	}
	m.state, m.reason = to, reason
	return true, false
}

func TestState_FollowsItsModel(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		spec := specAt("/a")
		spec.Paused = rapid.Bool().Draw(t, "paused")
		created, err := subs.Create(ctx, spec)
		require.NoError(t, err)
		model := stateModel{state: created.State, epoch: 1}
		require.Equal(t, spec.Paused, created.State == StatePaused)
		since := created.StateSince
		for _, to := range rapid.SliceOfN(rapid.SampledFrom([]State{StateActive, StatePaused, StateDeactivated}), 1, 6).Draw(t, "to") {
			var changed bool
			var err error
			reason := ""
			switch to { //nolint:exhaustive // see TestVerify_URLsFollowTheirModel for those that must be proven
			case StateActive:
				changed, err = subs.Activate(ctx, created.ID, nil)
			case StatePaused:
				changed, err = subs.Pause(ctx, created.ID)
			case StateDeactivated:
				reason = rapid.SampledFrom([]string{"", "too many failures", "é"}).Draw(t, "reason")
				changed, err = subs.Deactivate(ctx, created.ID, reason)
			}
			want, refused := model.change(to, reason)
			if refused {
				require.ErrorIs(t, err, ErrDeactivated)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, want, changed)
			got, err := subs.Get(ctx, created.ID)
			require.NoError(t, err)
			require.Equal(t, stateModel{got.State, got.StateReason, got.Epoch}, model)
			require.Equal(t, changed, got.StateSince.After(since))
			since = got.StateSince
		}
	})
}

func TestDeactivate_AReasonThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	for _, reason := range []string{"\x00", "\xff", strings.Repeat("x", 1025)} {
		_, err := subs.Deactivate(t.Context(), created.ID, reason)
		require.ErrorContains(t, err, "subscription: deactivate subscription: reason: ")
	}
}

func TestDelete_KeepsTheRowAndLosesTheSecrets(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	created := subscribeAt(t, subs, "/a")
	require.NoError(t, subs.Delete(ctx, created.ID))
	list, err := listed(subs.List(ctx, &ListOpts{IncludeDeleted: true}))
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotNil(t, list[0].DeletedAt)
	var secrets int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.secret`).Scan(&secrets))
	require.Zero(t, secrets)
}

func TestDeleteByOwner_TakesThatOwnersSubscriptionsBelowASite(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	add := func(owner string, site hierarchy.Path) uuid.UUID {
		spec := specAt(site)
		spec.Owner = owner
		created, err := subs.Create(ctx, spec)
		require.NoError(t, err)
		return created.ID
	}
	root := add("ada", "/")
	other := add("bob", "/a")
	near := add("ada", "/ab")
	add("ada", "/a")
	add("ada", "/a/b/c")
	remaining := func() (ids []uuid.UUID) {
		list, err := listed(subs.List(ctx, nil))
		require.NoError(t, err)
		for _, s := range list {
			ids = append(ids, s.ID)
		}
		return ids
	}
	n, err := subs.DeleteByOwner(ctx, "ada", &DeleteByOwnerOpts{Under: "/a"})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []uuid.UUID{root, other, near}, remaining())
	n, err = subs.DeleteByOwner(ctx, "ada", nil)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, []uuid.UUID{other}, remaining())
	n, err = subs.DeleteByOwner(ctx, "ada", nil)
	require.NoError(t, err)
	require.Zero(t, n)
}
