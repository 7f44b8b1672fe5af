package outbox

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a session can be set to, and what it must not change.
func TestEnqueue_SettingsOfTheSessionChangeNothing(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{
		"standard_conforming_strings = off", "bytea_output = escape", "DateStyle = 'SQL, DMY'", "DateStyle = German",
		"IntervalStyle = sql_standard", "TimeZone = 'Asia/Kathmandu'", "xmloption = document", "extra_float_digits = 0", "search_path = ''",
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.tx.Exec(t.Context(), "SET LOCAL "+setting)
			require.NoError(t, err)
			one, err := b.client.Enqueue(t.Context(), b.tx, named("plain"))
			require.NoError(t, err)
			require.False(t, one.Duplicate)
			many, err := b.client.EnqueueMany(t.Context(), b.tx, []Intent{named("plain"), valid()})
			require.NoError(t, err)
			require.True(t, many[0].Duplicate)
			_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('user.created', '{}', site => '/a')")
			require.NoError(t, err)
			times := timesOf(t, b.tx, "plain", many[1].ID)
			require.True(t, times[1].Occurred.After(times[0].Occurred))

			erased, err := b.client.Erase(t.Context(), b.tx, valid().Resource)
			require.NoError(t, err)
			require.Equal(t, 2, erased.Intents)
			var known int
			require.NoError(t, b.tx.QueryRow(t.Context(), `SELECT count(*) FROM riverhook.erasure
				WHERE resource = sha256(convert_to($1, 'UTF8') || decode('00', 'hex') || convert_to($2, 'UTF8'))`,
				valid().Resource.Kind, valid().Resource.ID).Scan(&known))
			require.Equal(t, 1, known)

			savepoint, err := b.tx.Begin(t.Context())
			require.NoError(t, err)
			_, err = savepoint.Exec(t.Context(), "SELECT riverhook.enqueue('user created', '{}')")
			require.ErrorContains(t, err, "Type: must be")
			require.NoError(t, savepoint.Rollback(t.Context()))
			_, err = b.tx.Exec(t.Context(), "SELECT riverhook.enqueue('user.created', '{}', site => '/a/..')")
			require.ErrorContains(t, err, "Site: must be")
		})
	}
}

func TestEnqueue_DigestIsThatOfOrdinarySettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var plain, off []byte
	const digest = "SELECT riverhook.intent_digest('user.created', '/', 'user', '42', '{}')"
	require.NoError(t, b.tx.QueryRow(t.Context(), digest).Scan(&plain))
	_, err := b.tx.Exec(t.Context(), "SET LOCAL standard_conforming_strings = off")
	require.NoError(t, err)
	require.NoError(t, b.tx.QueryRow(t.Context(), digest+" -- parsed anew").Scan(&off))
	require.Equal(t, plain, off)
}

// Without a bound on the work, 80 KB took 15 s and 256 KB ten times as long.
func TestEnqueue_TextThatIsNotJSONIsRefusedInLinearTime(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	for name, text := range map[string]string{
		"escaped quotes":            strings.Repeat("[", 1026) + strings.Repeat(`\"`, size/2-513),
		"strings without an end":    strings.Repeat("[", 1026) + strings.Repeat(`"\"`, size/3-342),
		"a backslash at the end":    strings.Repeat("[", 1026) + `"` + strings.Repeat(`a`, size-2000) + `\`,
		"opening brackets":          strings.Repeat("[", size),
		"pairs":                     strings.Repeat("[]", size/2),
		"closing before opening":    strings.Repeat("][", size/2),
		"brackets between quotes":   strings.Repeat(`"[`, size/2),
		"deep and not closed":       strings.Repeat(`{"a":[`, size/6),
		"backslashes":               strings.Repeat("[", 1026) + `"` + strings.Repeat(`\`, size-2000),
		"pairs within many strings": strings.Repeat(`["[]",`, size/6),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			_, err := b.tx.Exec(t.Context(), "SET LOCAL statement_timeout = '20s'")
			require.NoError(t, err)
			var outcome string
			err = b.tx.QueryRow(t.Context(), `SELECT outcome FROM riverhook.enqueue_one(
				NULL, 'a.b', '/', '', '', '', '', '', '{}', 0, $1, NULL, NULL, NULL, NULL, 262144, false, false)`, text).Scan(&outcome)
			if err != nil {
				require.ErrorContains(t, err, "invalid input syntax for type json")
				return
			}
			require.Equal(t, "invalid", outcome)
		})
	}
}

func TestSQLFunction_IsBoundByTheMostThatAClientMayAllow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var outcome, reason string
	err := b.tx.QueryRow(t.Context(), `SELECT outcome, reason FROM riverhook.enqueue_one(NULL, 'a.b', '/', '', '', '', '', '', '{}', 0,
		'"' || repeat('x', 64 << 20) || '"', NULL, NULL, NULL, NULL, 2147483647, false, false)`).Scan(&outcome, &reason)
	require.NoError(t, err)
	require.Equal(t, []string{"invalid", "has 67108866 bytes; at most 67108864 are allowed"}, []string{outcome, reason})
}

func TestEnqueue_NilRawMessageIsNull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, data := range []any{nil, []byte(nil), json.RawMessage(nil)} {
		in := valid()
		in.Data = data
		res, err := b.client.Enqueue(t.Context(), b.tx, in)
		require.NoError(t, err)
		var stored string
		require.NoError(t, b.tx.QueryRow(t.Context(),
			"SELECT convert_from(data, 'UTF8') FROM riverhook.intent WHERE wire_id = $1", res.ID).Scan(&stored))
		require.Equal(t, "null", stored)
	}
}
