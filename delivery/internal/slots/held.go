package slots

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// Releaser makes held deliveries due, the oldest first, as many as their endpoint has free
// slots. It is safe for concurrent use.
type Releaser struct {
	limiter  *Limiter
	releases *batch.Group[release, int]
	store    *store.Queries
}

// release asks for the oldest held deliveries of a subscription.
type release struct {
	SubscriptionID uuid.UUID
	Most           int
}

// NewReleaser makes a Releaser; queries are those with plans that are kept. It flushes its
// batches by cfg.
func NewReleaser(l *Limiter, queries *store.Queries, cfg batch.Config) *Releaser {
	r := &Releaser{limiter: l, store: queries}
	cfg.Flushers = 1
	r.releases = batch.New(cfg, r.flush)
	return r
}

// Close waits for releases under way, and refuses further ones.
func (r *Releaser) Close() { r.releases.Close() }

// Next releases held deliveries of an endpoint if enough of its slots are free. It is called
// after an attempt has left its slot.
func (r *Releaser) Next(ctx context.Context, key attempt.EndpointKey) error {
	return r.release(ctx, key, r.limiter.wantsRelease(key, time.Now()))
}

// Found is Next for an endpoint that has held deliveries in the database, and most slots (0:
// the default). It returns how many were asked for.
func (r *Releaser) Found(ctx context.Context, key attempt.EndpointKey, most int) (int, error) {
	wanted := r.limiter.offer(key, most, time.Now())
	return wanted, r.release(ctx, key, wanted)
}

func (r *Releaser) release(ctx context.Context, key attempt.EndpointKey, most int) error {
	if most == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	got, err := r.releases.Do(ctx, release{SubscriptionID: key.SubscriptionID, Most: most})
	r.limiter.released(key, most, got, time.Now())
	if err != nil {
		return fmt.Errorf("delivery: release held deliveries: %w", err)
	}
	return nil
}

// flush returns how many deliveries of each subscription were released.
func (r *Releaser) flush(ctx context.Context, asked []release) ([]int, error) {
	p := &store.ReleaseHeldParams{}
	for _, one := range asked {
		p.Subscriptions = append(p.Subscriptions, one.SubscriptionID.String())
		p.Most = append(p.Most, one.Most)
	}
	rows, err := r.store.ReleaseHeld(ctx, p)
	if err != nil {
		return nil, err
	}
	bySub := make(map[uuid.UUID]int, len(rows))
	for _, row := range rows {
		bySub[row.SubscriptionID] = row.Released
	}
	outs := make([]int, len(asked))
	for i, one := range asked {
		outs[i] = bySub[one.SubscriptionID]
	}
	return outs, nil
}

// wantsRelease says how many held deliveries of the endpoint may be released
// now, and keeps others from releasing until released is called.
func (l *Limiter) wantsRelease(key attempt.EndpointKey, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(key)
	if ep == nil || !ep.held || ep.releasing {
		return 0
	}
	n := ep.free(now)
	if n < 1 || n < ep.slots()/4 {
		return 0
	}
	ep.releasing = true
	return n
}

// offer is wantsRelease for an endpoint that has held deliveries in the database.
func (l *Limiter) offer(key attempt.EndpointKey, most int, now time.Time) int {
	l.mu.Lock()
	l.get(key, most).held = true
	l.mu.Unlock()
	return l.wantsRelease(key, now)
}

// released ends what wantsRelease began.
func (l *Limiter) released(key attempt.EndpointKey, wanted, got int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(key)
	ep.releasing = false
	ep.held = got >= wanted
	if got > 0 {
		ep.released += got
		ep.releasedAt = now
	}
	l.drop(key)
}
