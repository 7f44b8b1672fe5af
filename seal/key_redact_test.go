package seal_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/seal"
)

func TestKey_IsRedactedHoweverItIsPrinted(t *testing.T) {
	t.Parallel()
	raw := []byte("hunter2.hunter2.hunter2.hunter2.")
	key, err := seal.ParseKey("rhseal_aHVudGVyMi5odW50ZXIyLmh1bnRlcjIuaHVudGVyMi4=")
	require.NoError(t, err)
	set := keysetOf(t, key)
	type holder struct {
		Key    seal.Key
		Keys   []seal.Key
		Sealer seal.Sealer
		key    seal.Key
		set    *seal.Keyset
	}
	held := holder{
		Key:    key,
		Keys:   []seal.Key{key},
		Sealer: set,
		key:    key,
		set:    set,
	}
	var log strings.Builder
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))} {
		logger.Info("x", slog.Any("key", key), slog.Any("pointer", &key), slog.Any("set", set), slog.Any("held", held))
	}
	encoded, err := json.Marshal([]any{key, &key, set, held})
	require.NoError(t, err)
	printed := []string{log.String(), string(encoded), fmt.Sprint(key), fmt.Sprintf("%#v", key), fmt.Sprint(set), fmt.Sprintf("%#v", set)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s", "%p"} {
		for _, value := range []any{key, &key, set, held, &held, []any{set, key}} {
			printed = append(printed, fmt.Sprintf(verb, value))
		}
	}
	for _, text := range printed {
		lower := strings.ToLower(text)
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, key.Reveal()[7:20])
		require.NotContains(t, lower, hex.EncodeToString(raw[:8]))
		require.NotContains(t, text, "104 117 110")
	}
}
