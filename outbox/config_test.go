package outbox

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/pgtest"
)

func TestConfig_ABadOneNamesItsField(t *testing.T) {
	t.Parallel()
	for field, cfgs := range map[string][]Config{
		"MaxDataBytes":   {{MaxDataBytes: -1}, {MaxDataBytes: 64<<20 + 1}},
		"NotifyInterval": {{NotifyInterval: -2}, {NotifyInterval: time.Minute + 1}},
		"Schema":         {{Schema: "River"}, {Schema: "a;b"}, {Schema: strings.Repeat("a", 47)}},
	} {
		for _, cfg := range cfgs {
			_, err := New(&cfg)
			require.ErrorContains(t, err, "outbox: Config."+field+": ")
		}
	}
}

func TestConfig_ThatOfTheCallerIsNotChanged(t *testing.T) {
	t.Parallel()
	var cfg Config
	client, err := New(&cfg)
	require.NoError(t, err)
	require.Equal(t, Config{}, cfg)
	require.Equal(t, Config{
		MaxDataBytes:   256 << 10,
		NotifyInterval: 10 * time.Millisecond,
		Schema:         "riverhook",
	}, client.cfg)
}

func TestWakes_ComeInShortBurstsAndAtTheIntervalOnAverage(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	w := newWakes(10 * time.Millisecond)
	w.now = func() time.Time { return now }
	taken := func(calls int) (n int) {
		for range calls {
			if w.take() {
				n++
			}
		}
		return n
	}
	require.Equal(t, 5, taken(100))
	now = now.Add(10 * time.Millisecond)
	require.Equal(t, 1, taken(100))
	now = now.Add(25 * time.Millisecond)
	require.Equal(t, 2, taken(100))
	now = now.Add(time.Hour)
	require.Equal(t, 5, taken(100))
	n := 0
	for range 1000 {
		now = now.Add(time.Millisecond)
		n += taken(3)
	}
	require.InDelta(t, 100, n, 1)
	require.False(t, newWakes(-1).take())
}

//nolint:paralleltest // it changes what the whole process uses
func TestSetDefault_ReplacesTheDefaultClient(t *testing.T) {
	pool := pgtest.Pool(t)
	require.NoError(t, Migrate(t.Context(), pool, &MigrateOpts{Schema: "other"}))
	client, err := New(&Config{Schema: "other"})
	require.NoError(t, err)
	require.NotNil(t, Default())
	SetDefault(client)
	defer SetDefault(nil)
	require.Same(t, client, Default())

	tx := begin(t, pool)
	_, err = Enqueue(t.Context(), tx, valid())
	require.NoError(t, err)
	_, err = EnqueueMany(t.Context(), tx, []Intent{valid(), valid()})
	require.NoError(t, err)
	_, err = EnqueueManySQL(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, [3]int{}, count(t, tx))
	var n int
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT count(*) FROM other.river_job WHERE kind = 'riverhook_expand'").Scan(&n))
	require.Equal(t, 3, n)
	SetDefault(nil)
	_, err = Enqueue(t.Context(), tx, valid())
	require.NoError(t, err)
	require.Equal(t, [3]int{1, 1, 1}, count(t, tx))
}
