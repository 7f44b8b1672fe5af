package sealed

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/seal"
)

func newKeyset(t *testing.T) *seal.Keyset {
	t.Helper()
	keys, err := seal.NewKeyset(seal.NewKey())
	require.NoError(t, err)
	return keys
}

func newLocation() Location { return Secret(uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())) }

// counting is a Sealer that counts, and does first what before says.
type counting struct {
	seal.Sealer

	before func()
	opened atomic.Int32
}

func (s *counting) Decrypt(ciphertext, associatedData []byte) ([]byte, error) {
	s.opened.Add(1)
	if s.before != nil {
		s.before()
	}
	return s.Sealer.Decrypt(ciphertext, associatedData)
}

func TestLocation_EachPartIsBound(t *testing.T) {
	t.Parallel()
	box, at := NewBox(newKeyset(t)), newLocation()
	value, err := box.Seal(t.Context(), at, []byte("hunter2"))
	require.NoError(t, err)
	require.True(t, value.Sealed)
	opened, err := box.Open(t.Context(), at, value) // and so it is remembered
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(opened))
	for part, elsewhere := range map[string]Location{
		"table": {
			Table:        "subscription",
			Column:       at.Column,
			ID:           at.ID,
			Subscription: at.Subscription,
		},
		"column": {
			Table:        at.Table,
			Column:       "other",
			ID:           at.ID,
			Subscription: at.Subscription,
		},
		"row": {
			Table:        at.Table,
			Column:       at.Column,
			ID:           newLocation().ID,
			Subscription: at.Subscription,
		},
		"subscription": {
			Table:        at.Table,
			Column:       at.Column,
			ID:           at.ID,
			Subscription: newLocation().ID,
		},
		"origin": {
			Table:        at.Table,
			Column:       at.Column,
			ID:           at.ID,
			Subscription: at.Subscription,
			Origin:       "https://example.com:443",
		},
		"both ids": {
			Table:        at.Table,
			Column:       at.Column,
			ID:           at.Subscription,
			Subscription: at.ID,
		},
	} {
		_, err := box.Open(t.Context(), elsewhere, value)
		require.ErrorIs(t, err, seal.ErrDamaged, part)
		_, known := box.Recall(elsewhere, value)
		require.False(t, known, part)
	}
}

func TestBox_WhatWasOpenedIsRememberedAndNotShared(t *testing.T) {
	t.Parallel()
	sealer := &counting{Sealer: newKeyset(t)}
	box, at := NewBox(sealer), newLocation()
	value, err := box.Seal(t.Context(), at, []byte("hunter2"))
	require.NoError(t, err)
	_, known := box.Recall(at, value)
	require.False(t, known)
	for range 3 {
		opened, err := box.Open(t.Context(), at, value)
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(opened))
		clear(opened)
	}
	require.EqualValues(t, 1, sealer.opened.Load())
	opened, known := box.Recall(at, value)
	require.True(t, known)
	require.Equal(t, "hunter2", string(opened))
}

func TestBox_RemembersABoundedNumberOfValues(t *testing.T) {
	t.Parallel()
	box := NewBox(newKeyset(t))
	remember := func(key string) { box.memory.Update(key, func(string, bool) string { return "x" }) }
	remember("used")
	remember("unused")
	for i := range 3 * remembered {
		remember(strconv.Itoa(i))
		_, ok := box.memory.Get("used")
		require.True(t, ok)
	}
	require.LessOrEqual(t, box.memory.Len(), 2*remembered)
	_, ok := box.memory.Get("unused")
	require.False(t, ok)
}

func TestBox_ManyWhoOpenOneValueAtOnceAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		sealer := &counting{Sealer: newKeyset(t), before: func() { <-free }}
		box, at := NewBox(sealer), newLocation()
		value, err := box.Seal(t.Context(), at, []byte("hunter2"))
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				opened, err := box.Open(t.Context(), at, value)
				if err != nil || string(opened) != "hunter2" {
					t.Errorf("%q, %v", opened, err)
				}
			})
		}
		synctest.Wait()
		close(free)
		wg.Wait()
		require.EqualValues(t, 1, sealer.opened.Load())
	})
}

func TestBox_ASealerThatHangsIsGivenUpAndAskedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		defer close(free)
		sealer := &counting{Sealer: newKeyset(t), before: func() { <-free }}
		box, at := NewBox(sealer), newLocation()
		value, err := box.Seal(t.Context(), at, []byte("hunter2"))
		require.NoError(t, err)
		began := time.Now()
		_, err = box.Open(t.Context(), at, value)
		require.ErrorContains(t, err, "no answer of the Sealer within 10s")
		require.Equal(t, callTimeout, time.Since(began))

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = box.Open(ctx, at, value)
		require.ErrorIs(t, err, context.Canceled)
		synctest.Wait()
		require.EqualValues(t, 2, sealer.opened.Load())
		_, err = NewBox(hanging(free)).Seal(t.Context(), at, []byte("hunter2"))
		require.ErrorContains(t, err, "seal secret.value: no answer of the Sealer within 10s")
	})
}

type hanging chan struct{}

func (s hanging) Encrypt(_, _ []byte) ([]byte, error) { <-s; return nil, errors.New("too late") }
func (s hanging) Decrypt(_, _ []byte) ([]byte, error) { <-s; return nil, errors.New("too late") }

type panicking struct{}

func (panicking) Encrypt(plaintext, _ []byte) ([]byte, error) { panic(string(plaintext)) }
func (panicking) Decrypt(_, _ []byte) ([]byte, error)         { panic("hunter2") }

func TestBox_APanicOfASealerIsAnErrorThatTellsNothing(t *testing.T) {
	t.Parallel()
	box := NewBox(panicking{})
	_, err := box.Seal(t.Context(), newLocation(), []byte("hunter2"))
	require.EqualError(t, err, "seal secret.value: the Sealer panicked")
	_, err = box.Open(t.Context(), newLocation(), Value{Bytes: []byte("x"), Sealed: true})
	require.EqualError(t, err, "open secret.value: the Sealer panicked")
}

func TestBox_WhatIsStoredInClearIsReadWhateverTheSealer(t *testing.T) {
	t.Parallel()
	at := newLocation()
	inClear := NewBox(seal.Clear())
	value, err := inClear.Seal(t.Context(), at, []byte("hunter2"))
	require.NoError(t, err)
	require.Equal(t, Value{Bytes: []byte("hunter2")}, value)
	for _, box := range []*Box{inClear, NewBox(newKeyset(t)), NewBox(panicking{})} {
		opened, err := box.Open(t.Context(), at, value)
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(opened))
	}
	box := NewBox(newKeyset(t))
	sealed, err := box.Seal(t.Context(), at, []byte("hunter2"))
	require.NoError(t, err)
	require.False(t, bytes.Contains(sealed.Bytes, []byte("hunter")))
	_, err = inClear.Open(t.Context(), at, sealed)
	require.ErrorIs(t, err, seal.ErrNoKey)
}

func TestBox_IsCurrentWhatTheKeyThatSealsNowHasSealed(t *testing.T) {
	t.Parallel()
	at := newLocation()
	box, inClear := NewBox(newKeyset(t)), NewBox(seal.Clear())
	value, err := box.Seal(t.Context(), at, []byte("hunter2"))
	require.NoError(t, err)
	require.True(t, box.IsCurrent(value))
	require.False(t, box.IsCurrent(Value{Bytes: value.Bytes}))
	require.False(t, NewBox(newKeyset(t)).IsCurrent(value))
	require.False(t, NewBox(panicking{}).IsCurrent(value), "it cannot tell")
	require.False(t, inClear.IsCurrent(value))
	require.True(t, inClear.IsCurrent(Value{Bytes: []byte("hunter2")}))
}

func TestBox_WithoutASealerItIsSaidWhatToDo(t *testing.T) {
	t.Parallel()
	for _, none := range []seal.Sealer{nil, (*seal.Keyset)(nil)} {
		require.ErrorContains(t, Check(none), "is required: seal.ParseKeyset ")
	}
	require.NoError(t, Check(seal.Clear()))
	require.NoError(t, Check(newKeyset(t)))
}
