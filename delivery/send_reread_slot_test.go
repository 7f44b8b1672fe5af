package delivery_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/delivery"
)

// rereadSeen calls seen before the first statement that reads rows again.
type rereadSeen struct {
	rereadCount

	once *sync.Once
	seen func()
}

func (r rereadSeen) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		if strings.Contains(q.SQL, "-- name: RereadTargets ") {
			r.once.Do(r.seen)
		}
	}
	return ctx
}

// What is read again in a slot of its endpoint keeps others out of it meanwhile.
func TestReread_AnAttemptOfAFanOutIsReadBeforeItHasASlot(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	receiver := b.receiver(nil)
	var subs []uuid.UUID
	for range 3 {
		subs = append(subs, b.subscribe(receiver, operatorOnly).ID)
	}
	var (
		engine *delivery.Engine
		taken  = -1
	)
	engine = b.apart(func(cfg *pgxpool.Config) {
		cfg.ConnConfig.Tracer = rereadSeen{once: &sync.Once{}, seen: func() {
			taken = 0
			for _, sub := range subs {
				taken += engine.InSlots(sub)
			}
		}}
	})
	engine.RereadAfter(1) // each row is old by the time at which its attempt may queue up
	id := b.enqueue(nil)
	b.drain(engine)
	require.Zero(t, taken)
	for _, d := range b.deliveries(id) {
		require.Equal(t, "delivered", d.State)
	}
	require.Len(t, receiver.Requests(), len(subs))
}
