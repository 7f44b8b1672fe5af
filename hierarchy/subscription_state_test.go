package hierarchy

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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

func TestStatesFollowTheirModel(t *testing.T) {
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
			switch to {
			case StateActive:
				changed, err = subs.Activate(ctx, created.ID)
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

func TestAReasonThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	for _, reason := range []string{"\x00", "\xff", strings.Repeat("x", 1025)} {
		_, err := subs.Deactivate(t.Context(), created.ID, reason)
		require.ErrorContains(t, err, "hierarchy: deactivate subscription: reason: ")
	}
}

func TestARotatedSecretLeavesTheFormerOnesForTheOverlap(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	created := subscribeAt(t, subs, "/a")
	require.Len(t, created.Secret.Reveal(), len("whsec_")+44)
	requireSecrets := func(want ...Secret) {
		t.Helper()
		got, err := subs.Secrets(ctx, created.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	expiry := func(s Secret) time.Duration {
		t.Helper()
		var seconds float64
		require.NoError(t, pool.QueryRow(ctx,
			`SELECT extract(epoch FROM expires_at - now()) FROM riverhook.secret WHERE value = $1`, mustBytes(t, s)).Scan(&seconds))
		return time.Duration(seconds * float64(time.Second))
	}
	second, err := subs.RotateSecret(ctx, created.ID, nil)
	require.NoError(t, err)
	requireSecrets(second, created.Secret)
	require.InDelta(t, 24*time.Hour, expiry(created.Secret), float64(time.Minute))

	// A shorter overlap ends all sooner; a longer one prolongs nothing.
	third, err := subs.RotateSecret(ctx, created.ID, &RotateOpts{Overlap: time.Hour, Secret: secretOfLength(24)})
	require.NoError(t, err)
	require.Equal(t, secretOfLength(24), third)
	requireSecrets(third, second, created.Secret)
	require.InDelta(t, time.Hour, expiry(second), float64(time.Minute))
	require.InDelta(t, time.Hour, expiry(created.Secret), float64(time.Minute))
	_, err = pool.Exec(ctx, `UPDATE riverhook.secret SET expires_at = now() WHERE value = $1`, mustBytes(t, second))
	require.NoError(t, err)
	requireSecrets(third, created.Secret)

	fourth, err := subs.RotateSecret(ctx, created.ID, &RotateOpts{Overlap: 48 * time.Hour})
	require.NoError(t, err)
	requireSecrets(fourth, third, created.Secret)
	require.InDelta(t, 48*time.Hour, expiry(third), float64(time.Minute))
	require.InDelta(t, time.Hour, expiry(created.Secret), float64(time.Minute))
	var kept int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.secret`).Scan(&kept))
	require.Equal(t, 3, kept) // the expired one is gone for good

	fifth, err := subs.RotateSecret(ctx, created.ID, &RotateOpts{Immediate: true})
	require.NoError(t, err)
	requireSecrets(fifth)

	for _, bad := range []RotateOpts{{Overlap: -time.Second}, {Overlap: time.Microsecond}, {Immediate: true, Overlap: time.Hour}} {
		_, err := subs.RotateSecret(ctx, created.ID, &bad)
		require.ErrorContains(t, err, "Overlap: ")
	}
	_, err = subs.RotateSecret(ctx, created.ID, &RotateOpts{Secret: "hunter2"})
	require.ErrorIs(t, err, ErrInvalidSubscription)
	requireSecrets(fifth)
}

func mustBytes(t *testing.T, s Secret) []byte {
	t.Helper()
	value, err := s.bytes()
	require.NoError(t, err)
	return value
}

func TestAtMostTenSecretsAreLive(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	created := subscribeAt(t, subs, "/a")
	want := []Secret{created.Secret}
	for range 12 {
		secret, err := subs.RotateSecret(t.Context(), created.ID, nil)
		require.NoError(t, err)
		want = append([]Secret{secret}, want...)
		if len(want) > 10 {
			want = want[:10]
		}
		got, err := subs.Secrets(t.Context(), created.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestADeletedSubscriptionKeepsItsRowAndLosesItsSecrets(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	ctx := t.Context()
	created := subscribeAt(t, subs, "/a")
	require.NoError(t, subs.Delete(ctx, created.ID))
	list, err := subs.List(ctx, &ListOpts{IncludeDeleted: true})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotNil(t, list[0].DeletedAt)
	var secrets int
	require.NoError(t, pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.secret`).Scan(&secrets))
	require.Zero(t, secrets)
}

func TestDeleteByOwnerTakesThatOwnersSubscriptionsBelowASite(t *testing.T) {
	t.Parallel()
	subs := newSubscriptions(t, pgtest.Pool(t))
	ctx := t.Context()
	add := func(owner string, site Path) uuid.UUID {
		spec := specAt(site)
		spec.Owner = owner
		created, err := subs.Create(ctx, spec)
		require.NoError(t, err)
		return created.ID
	}
	root, other, near := add("ada", "/"), add("bob", "/a"), add("ada", "/ab")
	add("ada", "/a")
	add("ada", "/a/b/c")
	remaining := func() (ids []uuid.UUID) {
		list, err := subs.List(ctx, nil)
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
