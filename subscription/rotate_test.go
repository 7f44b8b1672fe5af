package subscription

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

// secretBundle is a subscription whose secrets change.
type secretBundle struct {
	t       *testing.T
	pool    *pgxpool.Pool
	subs    *Store
	created *Created
}

func newSecretBundle(t *testing.T) *secretBundle {
	t.Helper()
	pool := pgtest.Pool(t)
	subs := newSubscriptions(t, pool)
	return &secretBundle{
		t:       t,
		pool:    pool,
		subs:    subs,
		created: subscribeAt(t, subs, "/a"),
	}
}

func (b *secretBundle) rotate(opts *RotateOpts) Secret {
	b.t.Helper()
	secret, err := b.subs.RotateSecret(b.t.Context(), b.created.ID, opts)
	require.NoError(b.t, err)
	return secret
}

func (b *secretBundle) requireSecrets(want ...Secret) {
	b.t.Helper()
	got, err := b.subs.Secrets(b.t.Context(), b.created.ID)
	require.NoError(b.t, err)
	require.Equal(b.t, want, got)
}

func (b *secretBundle) infos() []SecretInfo {
	b.t.Helper()
	infos, err := b.subs.ListSecrets(b.t.Context(), b.created.ID)
	require.NoError(b.t, err)
	return infos
}

// requireExpiry says when the secrets of the list expire, 0 is never.
func (b *secretBundle) requireExpiry(want ...time.Duration) {
	b.t.Helper()
	infos := b.infos()
	require.Len(b.t, infos, len(want))
	for i, info := range infos {
		if want[i] == 0 {
			require.Nil(b.t, info.ExpiresAt, "secret %d", i)
			continue
		}
		require.NotNil(b.t, info.ExpiresAt, "secret %d", i)
		require.WithinDuration(b.t, time.Now().Add(want[i]), *info.ExpiresAt, time.Minute, "secret %d", i)
	}
}

func (b *secretBundle) expire(id uuid.UUID) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), `UPDATE riverhook.secret SET expires_at = now() WHERE id = $1`, id)
	require.NoError(b.t, err)
}

func TestRotateSecret_LeavesTheFormerOnesForTheOverlap(t *testing.T) {
	t.Parallel()
	b := newSecretBundle(t)
	ctx, first := t.Context(), b.created.Secret
	require.Len(t, first.Reveal(), len("whsec_")+44)
	second := b.rotate(nil)
	b.requireSecrets(second, first)
	b.requireExpiry(0, 24*time.Hour)

	// A shorter overlap ends all sooner; a longer one prolongs nothing.
	third := b.rotate(&RotateOpts{Overlap: time.Hour, Secret: secretOfLength(24)})
	require.Equal(t, secretOfLength(24), third)
	b.requireSecrets(third, second, first)
	b.requireExpiry(0, time.Hour, time.Hour)
	b.expire(b.infos()[1].ID)
	b.requireSecrets(third, first)

	fourth := b.rotate(&RotateOpts{Overlap: 48 * time.Hour})
	b.requireSecrets(fourth, third, first)
	b.requireExpiry(0, 48*time.Hour, time.Hour)
	var kept int
	require.NoError(t, b.pool.QueryRow(ctx, `SELECT count(*) FROM riverhook.secret`).Scan(&kept))
	require.Equal(t, 3, kept) // the expired one is gone for good

	fifth := b.rotate(&RotateOpts{Immediate: true})
	b.requireSecrets(fifth)

	for field, bad := range map[string]RotateOpts{
		"Overlap: is -1s":      {Overlap: -time.Second},
		"Overlap: is 1µs":      {Overlap: time.Microsecond},
		"Overlap: must be 0":   {Immediate: true, Overlap: time.Hour},
		"Confirm: ":            {Immediate: true, Confirm: true},
		`SecretKind: is "v3"`:  {SecretKind: "v3"},
		`SecretKind: is "v1a"`: {Secret: secretOfLength(32), SecretKind: SecretEd25519},
		"Secret: ":             {Secret: secretOf("hunter2")},
	} {
		_, err := b.subs.RotateSecret(ctx, b.created.ID, &bad)
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "hunter2")
	}
	b.requireSecrets(fifth)
}

func TestRotateSecret_LeavesAtMostTenLive(t *testing.T) {
	t.Parallel()
	b := newSecretBundle(t)
	want := []Secret{b.created.Secret}
	for range 12 {
		want = append([]Secret{b.rotate(nil)}, want...)
		want = want[:min(len(want), 10)]
		b.requireSecrets(want...)
	}
	pending := b.rotate(&RotateOpts{Confirm: true})
	b.requireSecrets(want...)
	require.NoError(t, b.subs.ConfirmSecret(t.Context(), b.created.ID, b.infos()[0].ID))
	b.requireSecrets(append([]Secret{pending}, want[:9]...)...)
}

func TestRotateSecret_ANewOneIsOfTheKindOfTheNewestUnlessOneIsNamed(t *testing.T) {
	t.Parallel()
	b := newSecretBundle(t)
	require.Equal(t, SecretHMAC, b.rotate(nil).Kind())
	asymmetric := b.rotate(&RotateOpts{SecretKind: SecretEd25519})
	require.Equal(t, SecretEd25519, asymmetric.Kind())
	require.Equal(t, SecretEd25519, b.rotate(nil).Kind())
	require.Equal(t, SecretHMAC, b.rotate(&RotateOpts{Secret: secretOfLength(32)}).Kind())
	require.Equal(t, SecretHMAC, b.rotate(nil).Kind())
	var kinds []SecretKind
	for _, info := range b.infos() {
		kinds = append(kinds, info.Kind)
	}
	require.Equal(t, []SecretKind{"v1", "v1", "v1a", "v1a", "v1", "v1"}, kinds)
	require.Equal(t, asymmetric.PublicKey().String(), b.infos()[3].PublicKey)
	require.Empty(t, b.infos()[0].PublicKey)
}

func TestConfirmSecret_OneThatWaitsForItSignsNothingUntilThen(t *testing.T) {
	t.Parallel()
	b := newSecretBundle(t)
	ctx, first := t.Context(), b.created.Secret
	replaced := b.rotate(&RotateOpts{Confirm: true})
	b.requireSecrets(first)
	b.requireExpiry(0, 0)
	former := b.infos()[0]
	require.True(t, former.Pending)

	waiting := b.rotate(&RotateOpts{Confirm: true, Overlap: time.Hour})
	require.NotEqual(t, replaced, waiting)
	require.Len(t, b.infos(), 2)
	require.ErrorIs(t, b.subs.ConfirmSecret(ctx, b.created.ID, former.ID), ErrNotFound)
	require.ErrorIs(t, b.subs.ConfirmSecret(ctx, uuid.Must(uuid.NewV7()), b.infos()[0].ID), ErrNotFound)
	require.ErrorIs(t, b.subs.ConfirmSecret(ctx, b.created.ID, b.infos()[1].ID), ErrNotFound)
	b.requireSecrets(first)

	pgtest.RolledBack(t, b.pool, func(tx pgx.Tx) {
		require.NoError(t, b.subs.In(tx).ConfirmSecret(ctx, b.created.ID, b.infos()[0].ID))
	})
	b.requireSecrets(first)
	require.NoError(t, b.subs.ConfirmSecret(ctx, b.created.ID, b.infos()[0].ID))
	b.requireSecrets(waiting, first)
	b.requireExpiry(0, time.Hour)

	b.rotate(&RotateOpts{Confirm: true})
	last := b.rotate(nil)
	b.requireSecrets(last, waiting, first)
	require.Len(t, b.infos(), 3, "a rotation replaces what waits")
}

func TestRevokeSecret_OneThatIsRevokedSignsNoMore(t *testing.T) {
	t.Parallel()
	b := newSecretBundle(t)
	ctx := t.Context()
	id := b.created.ID
	first := b.created.Secret
	require.ErrorIs(t, b.subs.RevokeSecret(ctx, id, b.infos()[0].ID), ErrLastSecret)
	second := b.rotate(nil)
	third := b.rotate(nil)

	require.NoError(t, b.subs.RevokeSecret(ctx, id, b.infos()[1].ID))
	b.requireSecrets(third, first)
	b.requireExpiry(0, 24*time.Hour)

	// The newest leaves: what was to expire must last, or nothing would be left.
	pgtest.RolledBack(t, b.pool, func(tx pgx.Tx) {
		infos, err := b.subs.In(tx).ListSecrets(ctx, id)
		require.NoError(t, err)
		require.NoError(t, b.subs.In(tx).RevokeSecret(ctx, id, infos[0].ID))
	})
	b.requireSecrets(third, first)
	require.NoError(t, b.subs.RevokeSecret(ctx, id, b.infos()[0].ID))
	b.requireSecrets(first)
	b.requireExpiry(0)

	b.rotate(&RotateOpts{Confirm: true})
	require.ErrorIs(t, b.subs.RevokeSecret(ctx, id, b.infos()[1].ID), ErrLastSecret, "what waits does not sign")
	require.NoError(t, b.subs.RevokeSecret(ctx, id, b.infos()[0].ID))
	require.ErrorIs(t, b.subs.RevokeSecret(ctx, id, uuid.Must(uuid.NewV7())), ErrNotFound)
	b.requireSecrets(first)
	require.NotEqual(t, second, first)
}
