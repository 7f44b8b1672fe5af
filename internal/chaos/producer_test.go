package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

// produce starts producers, which write until producing is closed. Their sessions are
// cut as those of engines are: what they have committed is in app.ledger, by the same
// transactions.
func (w *world) produce(n int) {
	w.t.Helper()
	pool, err := poolOf(context.WithoutCancel(w.t.Context()), w.url, "producer", int32(n))
	require.NoError(w.t, err)
	for i := range n {
		w.producers.Go(func() { w.write(pool, i) })
	}
	w.t.Cleanup(pool.Close)
}

func (w *world) write(pool *pgxpool.Pool, producer int) {
	r := random(uint64(100 + producer))
	for {
		select {
		case <-w.producing:
			return
		case <-time.After(between(r, 10*time.Millisecond, 150*time.Millisecond)):
		}
		w.writeOnce(pool, r, producer)
	}
}

// largest is the size of the largest events, in bytes. Some of one size fill the memory
// that an engine has for payloads.
const largest = 4_000_000

var errRollback = errors.New("the application has changed its mind")

// writeOnce commits or rolls back some events about one resource.
func (w *world) writeOnce(pool *pgxpool.Pool, r *rand.Rand, producer int) {
	ctx := context.WithoutCancel(w.t.Context())
	w.mu.Lock()
	about, offices := one(r, w.resources), w.offices()
	w.mu.Unlock()
	about.held.RLock()
	defer about.held.RUnlock()
	if about.gone {
		return
	}
	n, keep := 1+r.IntN(4), !chance(r, 20)
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf("chaos-%d-%d", producer, w.number())
	}
	if !keep { // before it is tried: the session may be cut at the rollback
		w.mu.Lock()
		for _, id := range events {
			w.rolled[id] = true
		}
		w.mu.Unlock()
	}
	// An error is of a session that was cut: app.ledger knows whether it was committed.
	_ = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, id := range events {
			office, eventType := one(r, offices), one(r, eventTypes)
			path, err := pathOf(ctx, tx, office)
			if err != nil {
				return err
			}
			if err := w.enqueue(ctx, tx, r, id, path, eventType, about); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `INSERT INTO app.ledger VALUES ($1, $2, $3, clock_timestamp())`, id, office.id, eventType)
			if err != nil {
				return err
			}
		}
		if !keep {
			return errRollback
		}
		return nil
	})
}

func (w *world) enqueue(
	ctx context.Context, tx pgx.Tx, r *rand.Rand, id string, p hierarchy.Path, eventType string, about *resource,
) error {
	content := map[string]string{"id": id, "name": about.marker()}
	if chance(r, 1) {
		content["picture"] = strings.Repeat("p", 1+r.IntN(largest))
	}
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	in := outbox.Intent{
		ID:         id,
		Type:       eventType,
		Site:       p,
		Resource:   access.Resource{Kind: "person", ID: about.id},
		Data:       json.RawMessage(data),
		Attributes: map[string]string{"name": about.marker()},
	}
	if chance(r, 5) {
		in.NotBefore = time.Now().Add(between(r, 0, 2*time.Second))
	}
	_, err = w.outbox.Enqueue(ctx, tx, in)
	return err
}

// offices are the sites at which something happens. The caller holds mu.
func (w *world) offices() []*node {
	var offices []*node
	for _, n := range w.nodes {
		if n.depth == 3 {
			offices = append(offices, n)
		}
	}
	return offices
}
