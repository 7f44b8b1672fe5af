package rates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/pgtest"
)

// A raised rate takes effect with the next question, for a request or for held deliveries: that
// reduces what the lower rate had taken to what the new rate allows.
func TestRates_ARateThatWasRaisedIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	for what, ask := range map[string]func(r *Releaser, l *Leases, raised *attempt.Target) error{
		"a request": func(_ *Releaser, l *Leases, raised *attempt.Target) error {
			_, _, err := l.Take(background, raised)
			return err
		},
		"held deliveries": func(r *Releaser, l *Leases, raised *attempt.Target) error {
			l.Found(raised)
			_, err := r.Run(background)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			low := hold(t, pool, attempt.NewRate(1, 24*time.Hour, 5), 3)
			r, l := newReleaser(t, pool, 20, nil)
			for range 5 {
				_, tr, err := l.Take(t.Context(), low)
				require.NoError(t, err)
				require.Nil(t, tr)
			}
			_, err := pool.Exec(background, `UPDATE riverhook.rate SET released_until = taken_until, released_at = now()`)
			require.NoError(t, err)
			raised := target(low.Sub.ID, attempt.NewRate(10, time.Second, 1))
			require.NoError(t, ask(r, l, raised))

			var taken time.Duration
			err = pool.QueryRow(background, `SELECT (extract(epoch FROM taken_until - now()) * 1000000000)::bigint
				FROM riverhook.rate WHERE key = $1`, subscriptionKey(low.Sub.ID)).Scan(&taken)
			require.NoError(t, err)
			require.LessOrEqual(t, taken, raised.Sub.Rate.Every+r.Ahead)
			require.Positive(t, taken, "and no further")
			if what == "held deliveries" {
				_, err = pool.Exec(background, `UPDATE riverhook.rate SET taken_until = taken_until - interval '0.5 s',
					released_until = released_until - interval '0.5 s'`)
				require.NoError(t, err)
				another, _ := newReleaser(t, pool, 20, nil, raised)
				n, err := another.Run(t.Context())
				require.NoError(t, err)
				require.Positive(t, n, "though more was released by the lower rate")
			}
			_, err = pool.Exec(background, `UPDATE riverhook.rate SET taken_until = taken_until - interval '2.2 s'`)
			require.NoError(t, err)
			others, _ := newLeases(t, pool, nil)
			_, tr, err := others.Take(t.Context(), raised)
			require.NoError(t, err)
			require.Nil(t, tr)
		})
	}
}
