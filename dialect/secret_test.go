package dialect_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

const secretText = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func parse(tb testing.TB, s string) dialect.Secret {
	tb.Helper()
	secret, err := dialect.ParseSecret(s)
	require.NoError(tb, err)
	return secret
}

func TestParseSecret_Takes24To64BytesAndRefusesAllElse(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }

	t.Run("TakesTwentyFourToSixtyFourBytes", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{24, 25, 32, 64} {
			secret := parse(t, of(n))
			require.Len(t, secret.Key(), n)
			require.Equal(t, of(n), secret.Reveal())
		}
	})

	t.Run("RefusesEverythingElseWithoutShowingIt", func(t *testing.T) {
		t.Parallel()
		for _, s := range []string{
			"", "whsec_", of(23), of(65), strings.TrimPrefix(secretText, "whsec_"), "WHSEC_" + secretText[6:], "whsk_" + secretText[6:],
			secretText + "\n", " " + secretText, secretText[:20] + "\n" + secretText[20:], secretText[:len(secretText)-1],
			"whsec_" + strings.Repeat("-_", 16),
		} {
			secret, err := dialect.ParseSecret(s)
			require.ErrorIs(t, err, dialect.ErrInvalidSecret, "%q", s)
			require.True(t, secret.IsZero())
			require.NotContains(t, err.Error(), "MfKQ9r8G")
		}
	})
}

func TestNewSecret_CopiesItsBytes(t *testing.T) {
	t.Parallel()
	raw := []byte(strings.Repeat("k", 32))
	secret, err := dialect.NewSecret(raw)
	require.NoError(t, err)
	clear(raw)
	clear(secret.Key())
	require.Equal(t, strings.Repeat("k", 32), string(secret.Key()))
	_, err = dialect.NewSecret(raw[:23])
	require.ErrorIs(t, err, dialect.ErrInvalidSecret)
}

func TestSecret_TwoAreEqualByTheirKeys(t *testing.T) {
	t.Parallel()
	require.True(t, parse(t, secretText).Equal(parse(t, secretText)))
	require.False(t, parse(t, secretText).Equal(parse(t, "whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")))
	require.False(t, parse(t, secretText).Equal(dialect.Secret{}))
}

func TestSecret_TheZeroOneHasNoKey(t *testing.T) {
	t.Parallel()
	var secret dialect.Secret
	require.True(t, secret.IsZero())
	require.Nil(t, secret.Key())
	require.Empty(t, secret.Reveal())
	require.False(t, parse(t, secretText).IsZero())
}

func TestSecret_IsRedactedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	secret := parse(t, secretText)
	type hidden struct{ inner dialect.Secret }
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("secret", secret), slog.Any("all", []dialect.Secret{secret}))
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("secret", secret), slog.Any("all", []dialect.Secret{secret}))
	encoded, err := json.Marshal(map[string]any{"a": secret, "b": &secret})
	require.NoError(t, err)

	printed := make([]string, 0, 64)
	printed = append(printed,
		log.String(), string(encoded), secret.String(), fmt.Sprintf("%#v", secret),
		fmt.Errorf("%v: %w", secret, dialect.ErrNoSecret).Error(),
	)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s"} {
		to := dialect.Destination{Secrets: []dialect.Secret{secret}}
		printed = append(printed, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, &secret), fmt.Sprintf(verb, to), fmt.Sprintf(verb, hidden{secret}))
		require.Equal(t, "[redacted]", fmt.Sprintf(verb, secret))
	}
	for _, s := range printed {
		lower := strings.ToLower(s)
		require.NotContains(t, s, "MfKQ9r8G")
		require.NotContains(t, s, string(secret.Key()[:8]))
		require.NotContains(t, lower, hex.EncodeToString(secret.Key()[:8]))
		require.NotContains(t, lower, "49 242 144") // %d of the first bytes
	}
}

func FuzzParseSecret_ReadsWhatItReveals(f *testing.F) {
	f.Add(secretText)
	f.Add("whsec_")
	f.Add(privateText)
	f.Add("whsec_aaaa\naaaa")
	f.Fuzz(func(t *testing.T, s string) {
		secret, err := dialect.ParseSecret(s)
		if err != nil {
			require.ErrorIs(t, err, dialect.ErrInvalidSecret)
			return
		}
		require.Equal(t, strings.HasPrefix(s, "whsec_"), secret.PublicKey().IsZero())
		require.GreaterOrEqual(t, len(secret.Key()), 24)
		require.LessOrEqual(t, len(secret.Key()), 64)
		require.True(t, parse(t, secret.Reveal()).Equal(secret))
	})
}

// A signature by what a file holds, its last line end included, is that of nobody else.
func TestTextSecret_ALineEndAroundItIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"s3cret\n", "s3cret\r\n", "s3cret\r", "\ns3cret", "\n"} {
		_, err := dialect.NewTextSecret(text)
		require.ErrorIs(t, err, dialect.ErrInvalidSecret, "%q", text)
		require.ErrorContains(t, err, "line end")
		require.NotContains(t, err.Error(), "s3cret")
	}
	for _, text := range []string{" s3cret ", "two\nlines", "s3cret\\n"} {
		secret, err := dialect.NewTextSecret(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, text, secret.Reveal())
	}
	for _, text := range []string{secretText + "\n", " " + secretText, privateText + "\r\n", "\tanother"} {
		_, err := dialect.ParseSecret(text)
		require.ErrorIs(t, err, dialect.ErrInvalidSecret, "%q", text)
		require.ErrorContains(t, err, "line end")
	}
}

func TestTextSecret_IsItsTextAndItsKey(t *testing.T) {
	t.Parallel()
	secret, err := dialect.NewTextSecret(secretText)
	require.NoError(t, err)
	require.Equal(t, secretText, secret.Reveal())
	require.Equal(t, secretText, string(secret.Key()))
	require.True(t, secret.PublicKey().IsZero())
	require.False(t, secret.Equal(parse(t, secretText)), "whose key is what is behind whsec_")
	require.Equal(t, "[redacted]", secret.String())
	_, err = dialect.NewTextSecret("")
	require.ErrorIs(t, err, dialect.ErrInvalidSecret)
}
