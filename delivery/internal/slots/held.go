package slots

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/batch"
	"github.com/riverhook/riverhook/internal/store"
)

// Releaser makes held deliveries due, the oldest of an endpoint first, as many as their
// endpoint has free slots and their share room for. It is safe for concurrent use.
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
	r.releases = batch.New(cfg, r.flush)
	return r
}

// Close waits for releases under way, and refuses further ones.
func (r *Releaser) Close() { r.releases.Close() }

// Next releases held deliveries of a share, by turns of its endpoints, if enough slots are
// free. It is called after an attempt to an endpoint has left its slot.
func (r *Releaser) Next(ctx context.Context, share string, left attempt.EndpointKey) error {
	_, err := r.release(ctx, r.limiter.nextReleases(share, left, time.Now()))
	return err
}

// Found enters that an endpoint, which has most slots (0: the default), has held deliveries
// in the database. They are released by turns, after an attempt or by All.
func (r *Releaser) Found(key attempt.EndpointKey, most int, share string) {
	r.limiter.found(key, most, share)
}

// All releases held deliveries of all endpoints that have some, as many as there are free
// slots. It returns how many were asked for.
func (r *Releaser) All(ctx context.Context) (asked int, err error) {
	for _, share := range r.limiter.heldShares() {
		n, err := r.release(ctx, r.limiter.nextReleases(share, attempt.EndpointKey{}, time.Now()))
		if asked += n; err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// release returns how many deliveries were asked for.
func (r *Releaser) release(ctx context.Context, wanted []wanted) (asked int, err error) {
	if len(wanted) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	got := make([]int, len(wanted))
	errs := make([]error, len(wanted))
	var group sync.WaitGroup
	for i, w := range wanted {
		asked += w.most
		ask := func() {
			got[i], errs[i] = r.releases.Do(ctx, release{SubscriptionID: w.key.SubscriptionID, Most: w.most})
		}
		if len(wanted) == 1 {
			ask()
		} else {
			group.Go(ask) // in one statement
		}
	}
	group.Wait()
	for i, w := range wanted {
		r.limiter.released(w, got[i], time.Now())
	}
	if err = errors.Join(errs...); err != nil {
		return asked, fmt.Errorf("delivery: release held deliveries: %w", err)
	}
	return asked, nil
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

// looked is how many endpoints of a share are looked at for one attempt that has ended.
const looked = 16

// wanted is a release that was begun, of deliveries of a share.
type wanted struct {
	key   attempt.EndpointKey
	most  int
	share string
}

// Capacity is how many requests to the endpoint of a target can be made in a time, in its
// slots.
func (l *Limiter) Capacity(t *attempt.Target, within time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.find(t.EndpointKey())
	if ep == nil {
		return l.slots(t.Sub.MaxInFlight)
	}
	return ep.capacity(within, time.Now())
}

// hold enters that an endpoint has held deliveries. It must be called with the lock held, as
// arrived.
func (l *Limiter) hold(key attempt.EndpointKey, ep *endpoint, share string) {
	if ep.rated {
		return
	}
	ep.held, ep.share = true, share
	if !ep.listed {
		ep.listed = true
		l.held[share] = append(l.held[share], key)
	}
}

// arrived counts an attempt that has come for a slot, which may have been released.
func (l *Limiter) arrived(ep *endpoint) {
	if ep.released > 0 {
		ep.released--
		l.Process.arrived(Share{Name: ep.share})
	}
}

// Held enters that a delivery of a target is held for its turn in the process.
func (l *Limiter) Held(t *attempt.Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hold(t.EndpointKey(), l.get(t.EndpointKey(), t.Sub.MaxInFlight), t.Share)
}

// Blocked is to be called of a delivery that comes for no slot, since its subscription or
// its endpoint lets nothing pass. Maintenance finds what is held for that.
func (l *Limiter) Blocked(key attempt.EndpointKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ep := l.find(key); ep != nil {
		l.arrived(ep)
		ep.held = false
	}
}

// found is hold for what the database says.
func (l *Limiter) found(key attempt.EndpointKey, most int, share string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ep := l.get(key, most)
	ep.rated = false
	l.hold(key, ep, share)
}

// heldShares are the shares that may have held deliveries.
func (l *Limiter) heldShares() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.held))
}

// nextReleases says which held deliveries of a share may be released now, by turns of its
// endpoints, and keeps others from releasing them until released is called. An attempt has
// left a slot of an endpoint; zero: all endpoints are looked at.
func (l *Limiter) nextReleases(share string, left attempt.EndpointKey, now time.Time) []wanted {
	l.mu.Lock()
	defer l.mu.Unlock()
	held := l.held[share]
	if len(held) == 0 {
		return nil
	}
	room, part := l.Process.room(Share{Name: share}, now)
	var all []wanted
	try := func(key attempt.EndpointKey, ep *endpoint) {
		n := min(ep.free(now), room)
		if ep.releasing || n < 1 || n < min(ep.slots(), part)/4 {
			return
		}
		ep.releasing = true
		room -= n
		l.Process.release(Share{Name: share}, n, now)
		all = append(all, wanted{key, n, share})
	}
	most := len(held)
	if left != (attempt.EndpointKey{}) {
		most = min(most, looked)
	}
	for range most {
		if room < 1 {
			break
		}
		key := held[0]
		held = held[1:]
		ep := l.find(key)
		switch {
		case ep == nil:
		case !ep.held:
			ep.listed = false
		default:
			try(key, ep)
			held = append(held, key)
		}
	}
	if ep := l.find(left); ep != nil && ep.held && room > 0 {
		try(left, ep)
	}
	if len(held) == 0 {
		delete(l.held, share)
	} else {
		l.held[share] = held
	}
	return all
}

// released ends what nextReleases began.
func (l *Limiter) released(w wanted, got int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if got < w.most {
		l.Process.release(Share{Name: w.share}, got-w.most, now)
	}
	ep := l.find(w.key)
	ep.releasing = false
	ep.held = got >= w.most
	if got > 0 {
		ep.released += got
		ep.releasedAt = now
	}
	l.drop(w.key)
}
