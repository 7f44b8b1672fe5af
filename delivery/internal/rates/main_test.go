package rates

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/pgtest"
	"github.com/riverhook/riverhook/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// newLeases makes the Leases of an engine. Its clock is ahead by the returned duration.
func newLeases(t *testing.T, pool *pgxpool.Pool, ofOwner func(string) attempt.Rate) (l *Leases, ahead *time.Duration) {
	t.Helper()
	ahead = new(time.Duration)
	l = NewLeases(Config{
		Batch:   batch.Config{},
		Now:     func() time.Time { return time.Now().Add(*ahead) },
		OfOwner: ofOwner,
		Store:   store.Frequent(pool, "riverhook"),
	})
	t.Cleanup(l.Close)
	return l, ahead
}

// target is a delivery of a subscription with a rate.
func target(id uuid.UUID, rate attempt.Rate) *attempt.Target {
	return &attempt.Target{
		ID: uuid.New(),
		Sub: attempt.Subscription{
			ID:         id,
			Owner:      "ann",
			Rate:       rate,
			URLVersion: 1,
		},
	}
}
