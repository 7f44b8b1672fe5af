package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/riverhook/riverhook/seal"
)

func keysetOf(t require.TestingT, keys ...seal.Key) *seal.Keyset {
	set, err := seal.NewKeyset(keys...)
	require.NoError(t, err)
	return set
}

func TestKeyset_WhatIsSealedOpensWithItsKeyAndAssociatedDataOnly(t *testing.T) {
	t.Parallel()
	key, other := seal.NewKey(), seal.NewKey()
	set := keysetOf(t, key, other)
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plaintext")
		place := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "place")
		sealed, err := set.Encrypt(plaintext, place)
		require.NoError(t, err)
		require.Len(t, sealed, len(plaintext)+36)
		require.Equal(t, key.ID(), hex.EncodeToString(sealed[:8]))
		require.True(t, set.IsCurrent(sealed))
		again, err := set.Encrypt(plaintext, place)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again)

		for _, opener := range []*seal.Keyset{set, keysetOf(t, key), keysetOf(t, other, key)} {
			opened, err := opener.Decrypt(bytes.Clone(sealed), place)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plaintext, opened))
		}

		elsewhere := rapid.SliceOfN(rapid.Byte(), 0, 100).Filter(func(b []byte) bool { return !bytes.Equal(b, place) }).Draw(t, "elsewhere")
		_, err = set.Decrypt(sealed, elsewhere)
		require.ErrorIs(t, err, seal.ErrDamaged)
		_, err = keysetOf(t, other).Decrypt(sealed, place)
		require.ErrorIs(t, err, seal.ErrNoKey)
		require.ErrorContains(t, err, key.ID())
		require.False(t, keysetOf(t, other, key).IsCurrent(sealed))
	})
}

func TestKeyset_ACiphertextWithAnyByteChangedOrMissingDoesNotOpen(t *testing.T) {
	t.Parallel()
	set := keysetOf(t, seal.NewKey(), seal.NewKey())
	sealed, err := set.Encrypt([]byte("hunter2"), []byte("place"))
	require.NoError(t, err)
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			_, err := set.Decrypt(changed, []byte("place"))
			require.Error(t, err, "byte %d, bit %d", i, bit)
		}
		_, err := set.Decrypt(sealed[:i], []byte("place"))
		require.ErrorIs(t, err, seal.ErrDamaged, "the first %d bytes", i)
	}
	_, err = set.Decrypt(append(bytes.Clone(sealed), 0), []byte("place"))
	require.ErrorIs(t, err, seal.ErrDamaged)
	require.False(t, set.IsCurrent(sealed[:7]))
}

func TestKeyset_EncryptAndDecryptLeaveTheirArgumentsAlone(t *testing.T) {
	t.Parallel()
	set := keysetOf(t, seal.NewKey())
	plaintext, place := []byte("hunter2"), []byte("place")
	sealed, err := set.Encrypt(plaintext, place)
	require.NoError(t, err)
	kept := bytes.Clone(sealed)
	opened, err := set.Decrypt(sealed, place)
	require.NoError(t, err)
	clear(opened)
	require.Equal(t, kept, sealed)
	require.Equal(t, "hunter2 place", string(plaintext)+" "+string(place))
}

func TestParseKeyset_ReadsAKeysetFromAText(t *testing.T) {
	t.Parallel()
	a, b := seal.NewKey(), seal.NewKey()
	for _, text := range []string{
		a.Reveal() + "," + b.Reveal(), a.Reveal() + "\n" + b.Reveal() + "\n", "\t" + a.Reveal() + " ,\r\n " + b.Reveal() + ",",
	} {
		set, err := seal.ParseKeyset(text)
		require.NoError(t, err)
		sealed, err := set.Encrypt(nil, nil)
		require.NoError(t, err)
		require.Equal(t, a.ID(), hex.EncodeToString(sealed[:8]))
		sealed, err = keysetOf(t, b).Encrypt([]byte("x"), nil)
		require.NoError(t, err)
		opened, err := set.Decrypt(sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "x", string(opened))
	}
}

func TestParseKeyset_WhatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	t.Parallel()
	of := func(n int) string {
		return "rhseal_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("hunter2."), 8)[:n])
	}
	good := of(32)
	for text, why := range map[string]string{
		"":                                     "there is none",
		",,":                                   "there is none",
		of(31):                                 "seal: invalid key: key 1: has 31 bytes",
		good + " " + of(33):                    "seal: invalid key: key 2: has 33 bytes",
		good[7:]:                               `must begin with "rhseal_"`,
		good + "," + good:                      "key 2 is there twice",
		good[:len(good)-1]:                     "base64",
		strings.Replace(good, "aHV", "-HV", 1): "base64",
	} {
		_, err := seal.ParseKeyset(text)
		require.ErrorIs(t, err, seal.ErrInvalidKey, "%q", text)
		require.ErrorContains(t, err, why)
		require.NotContains(t, err.Error(), good[7:20])
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err := seal.ParseKey(good[:20] + "\n" + good[20:])
	require.ErrorIs(t, err, seal.ErrInvalidKey)
	_, err = seal.NewKeyset(seal.NewKey(), seal.Key{})
	require.ErrorContains(t, err, "key 2 is the zero value")
	require.Empty(t, seal.Key{}.Reveal()+seal.Key{}.ID())
}

func TestKey_IsNewEachTimeAndSurvivesItsText(t *testing.T) {
	t.Parallel()
	key := seal.NewKey()
	parsed, err := seal.ParseKey(key.Reveal())
	require.NoError(t, err)
	require.Equal(t, key.Reveal(), parsed.Reveal())
	require.Equal(t, key.ID(), parsed.ID())
	require.Len(t, key.ID(), 16)
	require.NotEqual(t, key.ID(), seal.NewKey().ID())
}

// The id of the golden key, and what Python's cryptography has sealed with it.
const (
	goldenID   = "56b1156980674851"
	goldenRest = "000102030405060708090a0b2f77b86fa097f0fcc878ac6771dda0c037598040029eb2"
)

// Another process, and a later version, must open what this one has sealed.
func TestKeyset_ACiphertextOfAnEarlierVersionOpens(t *testing.T) {
	t.Parallel()
	key, err := seal.ParseKey("rhseal_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	require.NoError(t, err)
	require.Equal(t, goldenID, key.ID())
	sealed, err := hex.DecodeString(goldenID + goldenRest)
	require.NoError(t, err)
	opened, err := keysetOf(t, key).Decrypt(sealed, []byte("place"))
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(opened))
}

func TestClear_StoresWhatItIsGiven(t *testing.T) {
	t.Parallel()
	text := []byte("hunter2")
	stored, err := seal.Clear().Encrypt(text, []byte("place"))
	require.NoError(t, err)
	clear(text)
	opened, err := seal.Clear().Decrypt(stored, nil)
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(opened))
	again := seal.Clear()
	require.Equal(t, again, seal.Clear())
	require.NotEqual(t, seal.Sealer(keysetOf(t, seal.NewKey())), seal.Clear())
}
