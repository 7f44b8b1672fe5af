package maintain

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/rates"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// heldReleaser makes one of a process with so many slots for each endpoint.
func (db *database) heldReleaser(perEndpoint int) *HeldReleaser {
	frequent := store.Frequent(db, "riverhook")
	limiter := slots.NewLimiter(slots.LimiterConfig{
		Slots:    perEndpoint,
		MaxSlots: perEndpoint,
		Process:  slots.NewTurns(100),
		Now:      time.Now,
		Random:   func() float64 { return 0.5 },
	})
	releaser := slots.NewReleaser(limiter, frequent, batch.Config{})
	db.t.Cleanup(releaser.Close)
	return &HeldReleaser{
		Frequent: frequent,
		Pace:     Rounds,
		Rates:    db.ratesReleaser(limiter),
		ShareOf:  func(*attempt.Target) string { return "/acme" },
		Slots:    releaser,
		Store:    store.In(db, "riverhook"),
	}
}

// ratesReleaser makes what releases by rates; owners have none.
func (db *database) ratesReleaser(limiter *slots.Limiter) *rates.Releaser {
	leases := rates.NewLeases(rates.Config{Now: time.Now, Store: store.Frequent(db, "riverhook")})
	db.t.Cleanup(leases.Close)
	return &rates.Releaser{
		Capacity: limiter.Capacity,
		Ahead:    time.Second,
		Leases:   leases,
		Store:    store.Frequent(db, "riverhook"),
	}
}

// What is held of a subscription with a rate goes on by that, whatever it is held for, and not
// by its free slots.
func TestHeldReleaser_ReleasesByARate(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	rated := db.subscribe()
	db.exec(`UPDATE riverhook.subscription SET rate_events = 2, rate_per_ms = 60000, rate_burst = 2 WHERE id = $1`, rated)
	db.exec(`INSERT INTO riverhook.rate (key) VALUES ('s' || $1::uuid)`, rated)
	db.hold(rated, 5, "slots")
	r := db.heldReleaser(100)
	for _, want := range []int{2, 0} {
		n, err := r.Run(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	require.Equal(t, 3, db.count(`SELECT count(*) FROM riverhook.delivery WHERE hold = 'slots'`))
}

func TestHeldReleaser_DoesWhatTheStateOfASubscriptionAsksFor(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	held := map[string]uuid.UUID{}
	for _, name := range []string{"active", "paused", "deactivated", "deleted"} {
		held[name] = db.subscribe()
		db.hold(held[name], 5, "paused")
	}
	db.exec(`UPDATE riverhook.subscription SET state = 'paused' WHERE id = $1`, held["paused"])
	db.exec(`UPDATE riverhook.subscription SET state = 'deactivated', state_reason = 'it is enough' WHERE id = $1`, held["deactivated"])
	db.exec(`UPDATE riverhook.subscription SET deleted_at = now() WHERE id = $1`, held["deleted"])

	n, err := db.heldReleaser(3).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3+5+5, n)
	count := func(name, where string) int {
		return db.count(`SELECT count(*) FROM riverhook.delivery WHERE subscription_id = $1 AND `+where, held[name])
	}
	require.Equal(t, 2, count("active", `hold = 'paused'`), "as many are due as the endpoint has slots")
	require.Equal(t, 5, count("paused", `hold = 'paused'`))
	require.Equal(t, 5, count("deactivated", `state = 'cancelled' AND reason = 'the subscription is deactivated: it is enough'`))
	require.Equal(t, 5, count("deleted", `state = 'cancelled' AND reason = 'the subscription was deleted'`))
}
