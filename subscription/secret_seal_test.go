package subscription

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/seal"
)

func storeWith(t *testing.T, pool *pgxpool.Pool, s seal.Sealer) *Store {
	t.Helper()
	subs, err := NewStore(pool, &Config{CheckURL: checkHTTPS, Sealer: s})
	require.NoError(t, err)
	return subs
}

func keysetOf(t *testing.T, keys ...seal.Key) *seal.Keyset {
	t.Helper()
	set, err := seal.NewKeyset(keys...)
	require.NoError(t, err)
	return set
}

type storedRow struct {
	ID     uuid.UUID
	Value  []byte
	Sealed bool
}

func storedRows(t *testing.T, pool *pgxpool.Pool) []storedRow {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT id, value, sealed FROM riverhook.secret ORDER BY id`)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[storedRow])
	require.NoError(t, err)
	return out
}

func TestSecret_IsStoredSealedAndInClearOnlyWhereThatWasChosen(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	sealed := subscribeAt(t, storeWith(t, pool, testSealer(t)), "/a")
	second, err := storeWith(t, pool, testSealer(t)).RotateSecret(t.Context(), sealed.ID, nil)
	require.NoError(t, err)
	rows := storedRows(t, pool)
	require.Len(t, rows, 2)
	for _, row := range rows {
		require.True(t, row.Sealed)
		for _, secret := range []Secret{sealed.Secret, second} {
			raw := secret.Key()
			require.NotContains(t, string(row.Value), secret.Reveal()[6:12])
			require.False(t, bytes.Contains(row.Value, raw[:6]))
		}
	}

	inClear := subscribeAt(t, storeWith(t, pool, seal.Clear()), "/a")
	last := storedRows(t, pool)[2]
	require.False(t, last.Sealed)
	require.Equal(t, inClear.Secret.Reveal(), string(last.Value))
	secrets, err := storeWith(t, pool, testSealer(t)).Secrets(t.Context(), inClear.ID)
	require.NoError(t, err)
	require.Equal(t, []Secret{inClear.Secret}, secrets, "what is in clear is read by all")
	_, err = storeWith(t, pool, seal.Clear()).Secrets(t.Context(), sealed.ID)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func TestSecret_ASealedOneThatWasMovedDoesNotOpen(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	subs := storeWith(t, pool, testSealer(t))
	mine, other := subscribeAt(t, subs, "/a"), subscribeAt(t, subs, "/a")
	for _, id := range []uuid.UUID{mine.ID, other.ID} { // so that both are remembered
		_, err := subs.Secrets(t.Context(), id)
		require.NoError(t, err)
	}
	for name, move := range map[string]string{
		"the value to another row": `UPDATE riverhook.secret SET value = o.value FROM riverhook.secret o
			WHERE secret.subscription_id = $1 AND o.subscription_id = $2`,
		"the row to another subscription": `UPDATE riverhook.secret SET subscription_id = CASE subscription_id WHEN $1 THEN $2 ELSE $1 END::uuid`,
	} {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), move, mine.ID, other.ID)
		require.NoError(t, err)
		_, err = subs.In(tx).Secrets(t.Context(), mine.ID)
		require.ErrorIs(t, err, seal.ErrDamaged, name)
		require.NoError(t, tx.Rollback(t.Context()))
	}
	_, err := pool.Exec(t.Context(), `UPDATE riverhook.secret SET id = $1 WHERE subscription_id = $2`, uuid.Must(uuid.NewV7()), mine.ID)
	require.NoError(t, err)
	_, err = subs.Secrets(t.Context(), mine.ID)
	require.ErrorIs(t, err, seal.ErrDamaged)
}

// askingSealer notes how many connections of a pool are in use when it is asked.
type askingSealer struct {
	seal.Sealer

	pool *pgxpool.Pool
	held []int32
}

func (s *askingSealer) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	s.held = append(s.held, s.pool.Stat().AcquiredConns())
	return s.Sealer.Encrypt(plaintext, associatedData)
}

func (s *askingSealer) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	s.held = append(s.held, s.pool.Stat().AcquiredConns())
	return s.Sealer.Decrypt(ciphertext, associatedData)
}

func TestSealer_IsAskedWhileNoConnectionIsHeld(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	asked := &askingSealer{Sealer: testSealer(t), pool: pool}
	subs := storeWith(t, pool, asked)
	created := subscribeAt(t, subs, "/a")
	_, err := subs.RotateSecret(t.Context(), created.ID, nil)
	require.NoError(t, err)
	_, err = subs.Secrets(t.Context(), created.ID)
	require.NoError(t, err)
	_, err = subs.Reseal(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, []int32{0, 0, 0, 0, 0, 0}, asked.held) // 2 sealed, 2 opened, both from memory sealed anew
}

func TestSealer_WhatItRefusesIsNotStored(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	created := subscribeAt(t, storeWith(t, pool, testSealer(t)), "/a")
	for name, s := range map[string]seal.Sealer{"an error": failing{}, "a panic": panicking{}} {
		subs := storeWith(t, pool, s)
		_, err := subs.Create(t.Context(), specAt("/a"))
		require.ErrorContains(t, err, "subscription: create subscription: seal secret.value: ", name)
		_, err = subs.RotateSecret(t.Context(), created.ID, nil)
		require.ErrorContains(t, err, "subscription: rotate secret: seal secret.value: ", name)
		_, err = subs.Secrets(t.Context(), created.ID)
		require.ErrorContains(t, err, "subscription: read secrets: secret ", name)
	}
	require.Len(t, storedRows(t, pool), 1)
}

type failing struct{}

var errKMS = errors.New("the key management is down")

func (failing) Encrypt(_, _ []byte) ([]byte, error) { return nil, errKMS }
func (failing) Decrypt(_, _ []byte) ([]byte, error) { return nil, errKMS }

type panicking struct{}

func (panicking) Encrypt(plaintext, _ []byte) ([]byte, error) { panic(string(plaintext)) }
func (panicking) Decrypt(_, _ []byte) ([]byte, error)         { panic("oh") }

func TestReseal_SealsWhatIsInClearOrUnderAnOldKey(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	oldKey, newKey := seal.NewKey(), seal.NewKey()
	want := map[uuid.UUID]Secret{}
	for i := range 7 {
		sealer := seal.Clear()
		if i >= 3 {
			sealer = keysetOf(t, oldKey)
		}
		created := subscribeAt(t, storeWith(t, pool, sealer), "/a")
		want[created.ID] = created.Secret
	}
	before := storedRows(t, pool)
	subs := storeWith(t, pool, keysetOf(t, newKey, oldKey))

	result, err := subs.Reseal(ctx, &ResealOpts{BatchSize: 3})

	require.NoError(t, err)
	require.Equal(t, ResealResult{Resealed: 7, Last: before[6].ID}, result)
	for i, row := range storedRows(t, pool) {
		require.True(t, row.Sealed)
		require.NotEqual(t, before[i].Value, row.Value)
	}
	alone := storeWith(t, pool, keysetOf(t, newKey))
	for id, secret := range want {
		got, err := alone.Secrets(ctx, id)
		require.NoError(t, err)
		require.Equal(t, []Secret{secret}, got)
	}

	again, err := subs.Reseal(ctx, nil)
	require.NoError(t, err)
	require.Equal(t, ResealResult{Current: 7, Last: before[6].ID}, again)
	rest, err := storeWith(t, pool, keysetOf(t, seal.NewKey(), newKey)).Reseal(ctx, &ResealOpts{After: before[4].ID})
	require.NoError(t, err)
	require.Equal(t, ResealResult{Resealed: 2, Last: before[6].ID}, rest)
	_, err = subs.Reseal(ctx, &ResealOpts{BatchSize: -1})
	require.ErrorContains(t, err, "BatchSize: is -1")
}

func TestReseal_ASecretThatDoesNotOpenKeepsNoOtherFromIt(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	lost := subscribeAt(t, storeWith(t, pool, testSealer(t)), "/a")
	found := subscribeAt(t, storeWith(t, pool, seal.Clear()), "/a")
	before := storedRows(t, pool)
	subs := storeWith(t, pool, keysetOf(t, seal.NewKey()))

	result, err := subs.Reseal(t.Context(), nil)

	require.ErrorIs(t, err, seal.ErrNoKey)
	require.ErrorContains(t, err, "subscription: reseal: 1 secret could not be opened: secret "+before[0].ID.String())
	require.Equal(t, ResealResult{
		Resealed: 1,
		Unopened: 1,
		Last:     before[1].ID,
	}, result)
	require.Equal(t, before[0], storedRows(t, pool)[0])
	_, err = subs.Secrets(t.Context(), found.ID)
	require.NoError(t, err)
	_, err = subs.RotateSecret(t.Context(), lost.ID, &RotateOpts{Immediate: true})
	require.NoError(t, err, "a new secret is the way out")
	_, err = subs.Secrets(t.Context(), lost.ID)
	require.NoError(t, err)

	kms, err := storeWith(t, pool, failing{}).Reseal(t.Context(), nil)
	require.ErrorIs(t, err, errKMS)
	require.Equal(t, 2, kms.Unopened)
}

// rotatingSealer rotates a subscription's secret while another is sealed anew.
type rotatingSealer struct {
	seal.Sealer

	rotate func()
}

func (s *rotatingSealer) Encrypt(plaintext, associatedData []byte) ([]byte, error) {
	if s.rotate != nil {
		rotate := s.rotate
		s.rotate = nil
		rotate()
	}
	return s.Sealer.Encrypt(plaintext, associatedData)
}

func TestReseal_ARotationMeanwhileIsNotUndone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	created := subscribeAt(t, storeWith(t, pool, seal.Clear()), "/a")
	subs := storeWith(t, pool, testSealer(t))
	var fresh Secret
	slow := storeWith(t, pool, &rotatingSealer{Sealer: testSealer(t), rotate: func() {
		var err error
		fresh, err = subs.RotateSecret(t.Context(), created.ID, &RotateOpts{Immediate: true})
		require.NoError(t, err)
	}})

	result, err := slow.Reseal(t.Context(), nil)

	require.NoError(t, err)
	require.Zero(t, result.Resealed)
	got, err := subs.Secrets(t.Context(), created.ID)
	require.NoError(t, err)
	require.Equal(t, []Secret{fresh}, got)

	// Nor is what another process has sealed meanwhile.
	other := subscribeAt(t, storeWith(t, pool, seal.Clear()), "/a")
	var sealed storedRow
	slow = storeWith(t, pool, &rotatingSealer{Sealer: testSealer(t), rotate: func() {
		_, err := subs.Reseal(t.Context(), nil)
		require.NoError(t, err)
		sealed = storedRows(t, pool)[1]
	}})
	_, err = slow.Reseal(t.Context(), &ResealOpts{After: storedRows(t, pool)[0].ID})
	require.NoError(t, err)
	require.Equal(t, sealed, storedRows(t, pool)[1])
	_, err = subs.Secrets(t.Context(), other.ID)
	require.NoError(t, err)
	require.NotContains(t, string(sealed.Value), "whsec_")
}
