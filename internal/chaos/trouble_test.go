package chaos_test

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

// trouble is one kind: what is done, and how long it is until the next time. Those
// without a deed are switched on by name elsewhere.
type trouble struct {
	name        string
	least, most time.Duration
	do          func(w *world, ctx context.Context, r *rand.Rand)
}

func troubles() []trouble {
	const s = time.Second
	return []trouble{
		{"backends", s / 4, s, (*world).cutSessions},
		{"erase", s / 2, 2 * s, (*world).eraseOne},
		{"freeze", 4 * s, 9 * s, (*world).freeze},
		{"jobs", s / 10, s / 2, (*world).editJob},
		{"kill", 2 * s, 6 * s, (*world).kill},
		{"locks", s / 2, 2 * s, (*world).holdLocks},
		{"memory", s / 20, s / 10, (*world).endTheLarge},
		{"moves", s / 20, s / 4, (*world).move},
		{"namesakes", 3 * s, 8 * s, (*world).namesake},
		{"owners", 2 * s, 6 * s, (*world).removeOwner},
		{"prune", s / 2, 2 * s, (*world).prune},
		{"questions", s / 10, s / 2, (*world).ask},
		{"readers", 8 * s, 20 * s, (*world).readOnly},
		{"redeliver", s / 10, s / 2, (*world).redeliver},
		{"subscriptions", s / 10, s / 2, (*world).changeSubscription},
		{"terminate", 4 * s, 10 * s, (*world).terminate},
	}
}

// trouble makes all kinds that are wanted, until ctx ends.
func (w *world) trouble(ctx context.Context, wanted *regexp.Regexp) {
	w.hostCode = wanted.MatchString("hostcode")
	w.sameID = wanted.MatchString("namesake engines")
	if w.hostCode { // for those that run already
		w.replaceAll()
	}
	var all sync.WaitGroup
	for _, kind := range troubles() {
		if !wanted.MatchString(kind.name) {
			continue
		}
		name := fnv.New64()
		_, _ = name.Write([]byte(kind.name))
		r := random(name.Sum64())
		all.Go(func() {
			for pause(ctx, between(r, kind.least, kind.most)) {
				kind.do(w, ctx, r)
			}
		})
	}
	<-ctx.Done()
	all.Wait()
}

// done counts a deed.
func (w *world) done(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did[what]++
}

// deadlock is the SQLSTATE of a transaction that was rolled back so that another one
// could go on. The transactions here lock rows in any order, as an application's may.
const deadlock = "40P01"

// attempt is inTx for a deed that other transactions can keep from being done; then
// nothing was done.
func (w *world) attempt(what string, f func(tx pgx.Tx) error) (moment, bool) {
	at, err := w.inTx(f)
	if err == nil {
		w.done(what)
		return at, true
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == deadlock {
		return at, false
	}
	for _, expected := range []error{
		delivery.ErrDeliveryEnded, delivery.ErrDeliveryPending, delivery.ErrNotFound, delivery.ErrPayloadGone,
		delivery.ErrSubscriptionDeactivated, delivery.ErrSubscriptionGone, subscription.ErrDeactivated, hierarchy.ErrNotFound,
		hierarchy.ErrSiteExists,
	} {
		if errors.Is(err, expected) {
			return at, false
		}
	}
	require.NoError(w.t, err, what)
	return at, false
}
