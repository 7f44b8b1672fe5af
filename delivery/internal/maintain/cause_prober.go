package maintain

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/internal/store"
)

const (
	// maxCauses is how many causes one round looks at. The next one goes on after them.
	maxCauses = 1000

	// maxReleased is how many jobs of one cause are under way at once in a process.
	maxReleased = 32

	// maxProbed is how many rows a probe has at most. The first probe has one, and each that is
	// in vain twice as many: rows that fail for a reason of their own do not hide for long that
	// others would not.
	maxProbed = 16

	// maxProbeWait bounds the wait between two probes of a cause.
	maxProbeWait = 5 * time.Minute

	// keptCause is how long a cause is known after it might have been probed again: a probe of
	// its last row can be under way.
	keptCause = time.Minute

	// forgottenAfter is how long the end of a job is waited for that another process may have
	// fetched.
	forgottenAfter = 2 * time.Minute
)

// Service is what this process can do about a cause.
type Service int

// The services.
const (
	Lacks Service = iota // it lacks what is missing: it leaves alone what waits for that
	Has                  // it has what is missing: here the cause is over, unless what it releases is held again
	Asks                 // whether the cause is over it finds out by a probe
)

// CauseProberConfig is what a CauseProber works by.
type CauseProberConfig struct {
	// Adopt makes River jobs for this process; see [turns.Taker.Adopt].
	Adopt func(release func(process string) ([]*rivertype.JobRow, error)) error

	First time.Duration // the wait before the first probe of a new cause; the next ones double
	Log   *slog.Logger
	Serve func(c attempt.Cause) Service
	Store *store.Queries                    // with plans that are kept
	Wait  func(time.Duration) time.Duration // how long a wait becomes; see drain.Clock
}

// CauseProber releases the rows that are held for a cause. It reads the causes from the held rows
// themselves, so the next round finds a row that was held during a release.
//
// An engine that has what others lack releases the rows that wait for it. If most of them are held
// again, it continues with probes.
//
// If something could not be asked, a probe finds out whether it can be asked again. The first probe
// releases one row, the oldest of the share whose turn it is. If that row is held for the same
// cause again, the next probe is later, in any engine, and releases more rows, up to maxProbed.
// Otherwise the cause is over, and this process releases the other rows in order, by turns of
// their shares, a bounded number at a time. If most of them are held again, the cause is not over
// and probes start again. A share most of whose rows were not held again is still released, so that
// the failures of other shares do not delay it.
//
// A new prober probes each cause once, whatever other engines have found.
//
// It is safe for concurrent use.
type CauseProber struct {
	cfg   CauseProberConfig
	round sync.Mutex // held by a round; guards what follows
	after string     // the last cause that was looked at
	begun bool       // each cause was looked at once

	released atomic.Int64 // jobs that have not ended
	woken    chan struct{}

	mu     sync.Mutex // guards what follows; held for moments only
	causes map[string]*served
	jobs   map[int64]*releasedJob
}

// served is what this process knows of a cause.
type served struct {
	out    int            // jobs that have not ended
	probes int            // of these, those of probes
	ended  []*releasedJob // since the last look

	// What follows is guarded by round.
	over            bool            // a probe has gone well here
	vain            bool            // what was released here last was held again
	fit             map[string]bool // shares of which it was not
	seen            time.Time       // when something was held for it
	turns           [2]string       // the last shares that had a turn: of decisions, and of deliveries
	deliveriesFirst bool            // next time
}

// releasedJob is a job of what was released for a cause.
type releasedJob struct {
	cause         string
	share         string
	probe         bool
	delivery      uuid.UUID // nil: decisions
	intent        uuid.UUID // of decisions
	subscriptions []string  // of decisions
	since         time.Time
	elsewhere     bool // another process may fetch it
}

// rows is how many rows it is of.
func (r *releasedJob) rows() int { return max(1, len(r.subscriptions)) }

// NewCauseProber makes a prober that has looked at nothing.
func NewCauseProber(cfg *CauseProberConfig) *CauseProber {
	return &CauseProber{
		cfg:    *cfg,
		woken:  make(chan struct{}, 1),
		causes: map[string]*served{},
		jobs:   map[int64]*releasedJob{},
	}
}

// Run looks at the next causes, maxCauses at most, and returns how many jobs it has made.
func (p *CauseProber) Run(ctx context.Context) (int, error) {
	p.round.Lock()
	defer p.round.Unlock()
	p.forget(time.Now())
	rows, err := p.cfg.Store.HeldCauses(ctx, &store.HeldCausesParams{
		After:    p.after,
		MaxRows:  maxCauses,
		FirstMs:  p.cfg.Wait(p.cfg.First).Milliseconds(),
		ForgetMs: keptCause.Milliseconds(),
	})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, row := range rows {
		did, err := p.look(ctx, row)
		if err != nil {
			return n, err
		}
		n += did
	}
	if len(rows) == maxCauses {
		p.after = rows[len(rows)-1].Name
	} else {
		p.after, p.begun = "", true
	}
	return n, nil
}

// Refill runs a round whenever jobs have ended and others may follow, until ctx ends.
func (p *CauseProber) Refill(ctx context.Context, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.woken:
		}
		_, err := p.Run(ctx)
		report(err)
	}
}

// Ended is to be called after each run of a job, with its error.
func (p *CauseProber) Ended(job int64, err error) {
	if p.released.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.jobs[job]
	if r == nil {
		return
	}
	s := p.drop(job, r)
	if err == nil { // else it says nothing about the cause
		s.ended = append(s.ended, r)
	}
	if s.out <= maxReleased/2 {
		select {
		case p.woken <- struct{}{}:
		default:
		}
	}
}

// drop ends the count of a job. It must be called with the lock held.
func (p *CauseProber) drop(job int64, r *releasedJob) *served {
	delete(p.jobs, job)
	p.released.Add(-1)
	s := p.causes[r.cause]
	s.out--
	if r.probe {
		s.probes--
	}
	return s
}

// forget drops jobs that another process may have fetched long ago, and causes of which
// nothing is held and nothing under way.
func (p *CauseProber) forget(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.jobs {
		if r.elsewhere && now.Sub(r.since) > forgottenAfter {
			p.drop(id, r)
		}
	}
	for name, s := range p.causes {
		if s.out == 0 && now.Sub(s.seen) > forgottenAfter {
			delete(p.causes, name)
		}
	}
}

// look does for one cause what this process can.
func (p *CauseProber) look(ctx context.Context, row store.HeldCausesRow) (int, error) {
	service := p.cfg.Serve(attempt.ParseCause(row.Name))
	if service == Lacks {
		return 0, nil
	}
	s, room, probing, ended := p.take(row.Name)
	if err := p.judge(ctx, row.Name, s, ended); err != nil {
		return 0, err
	}
	if s.over || service == Has && !s.vain {
		return p.release(ctx, causeRelease{
			cause: row.Name,
			known: s,
			most:  room,
			each:  causeEach,
		})
	}
	made, err := p.releaseFit(ctx, row.Name, s, room)
	if err != nil || probing || p.begun && !row.Due {
		return made, err
	}
	claimed, err := p.cfg.Store.ClaimCause(ctx, &store.ClaimCauseParams{
		Name:   row.Name,
		Tries:  row.Tries,
		WaitMs: p.cfg.Wait(p.probeWait(row.Tries)).Milliseconds(),
	})
	if err != nil || len(claimed) == 0 {
		return made, err
	}
	probed, err := p.release(ctx, causeRelease{
		cause: row.Name,
		known: s,
		most:  min(1<<min(row.Tries, 8), maxProbed),
		each:  1, // of as many shares as there can be
		probe: true,
	})
	return made + probed, err
}

// probeWait is the wait after a probe, if so many before it were in vain.
func (p *CauseProber) probeWait(tries int) time.Duration {
	return min(p.cfg.First<<min(tries+1, 16), max(maxProbeWait, p.cfg.First))
}

// take returns what is known of a cause, how many more jobs of it there can be, whether a probe is
// under way, and the jobs that have ended.
func (p *CauseProber) take(cause string) (s *served, room int, probing bool, ended []*releasedJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.causes[cause]
	if s == nil {
		s = &served{fit: map[string]bool{}}
		p.causes[cause] = s
	}
	s.seen = time.Now()
	ended, s.ended = s.ended, nil
	return s, maxReleased - s.out, s.probes > 0, ended
}

// judge records whether a cause is over, and for which shares, from the outcome of the jobs that
// have ended.
func (p *CauseProber) judge(ctx context.Context, cause string, s *served, ended []*releasedJob) error {
	if len(ended) == 0 {
		return nil
	}
	params := &store.HeldAgainParams{Cause: cause}
	rows, all := map[string]int{}, 0
	for _, r := range ended {
		rows[r.share] += r.rows()
		all += r.rows()
		if r.delivery != uuid.Nil {
			params.Deliveries = append(params.Deliveries, r.delivery.String())
			params.DeliveryShares = append(params.DeliveryShares, r.share)
		}
		for _, id := range r.subscriptions {
			params.Intents = append(params.Intents, r.intent.String())
			params.Subscriptions = append(params.Subscriptions, id)
			params.DecisionShares = append(params.DecisionShares, r.share)
		}
	}
	found, err := p.cfg.Store.HeldAgain(ctx, params)
	if err != nil {
		return err
	}
	held, again := map[string]int{}, 0
	for _, row := range found {
		held[row.Share] = row.Held
		again += row.Held
	}
	if len(s.fit) > causeShares { // those that have rows still are found again
		clear(s.fit)
	}
	for share, n := range rows {
		if 2*held[share] <= n {
			s.fit[share] = true
		} else {
			delete(s.fit, share)
		}
	}
	before := s.over
	s.over = 2*again <= all
	s.vain = !s.over
	if s.over == before {
		return nil
	}
	p.cfg.Log.InfoContext(ctx, "riverhook: cause", "cause", cause, "over", s.over)
	if !s.over {
		return nil
	}
	_, err = p.cfg.Store.EndCause(ctx, cause)
	return err
}
