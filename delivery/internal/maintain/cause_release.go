package maintain

import (
	"context"
	"slices"
	"time"

	"github.com/riverqueue/river/rivertype"

	"github.com/riverhook/riverhook/internal/store"
)

const (
	// causeShares is how many shares one statement visits.
	causeShares = 100

	// causeEach is how many rows of one share it releases.
	causeEach = 8
)

// causeTurn is what one statement has released, and where the next one begins.
type causeTurn struct {
	jobs     []*rivertype.JobRow
	released []*releasedJob
	shares   []string // of the jobs
	last     string   // the last share that was visited; "": none was
	more     bool     // there may be shares after it
}

// next is the share after which the next statement begins, if this one was to release so many
// rows at most; "" after the last share of all.
func (t *causeTurn) next(most int) string {
	switch {
	case t.rows() >= most:
		return slices.Max(t.shares)
	case t.more:
		return t.last
	default:
		return ""
	}
}

// rows is how many rows were released.
func (t *causeTurn) rows() (n int) {
	for _, r := range t.released {
		n += r.rows()
	}
	return n
}

// causeRelease is what is to be released for a cause.
type causeRelease struct {
	most  int    // rows
	each  int    // of one share, before others have their turn
	only  string // the share that it is of; "": of all, by turns
	probe bool
}

// release lets rows go on that are held for a cause, decisions and deliveries by turns. It returns
// how many jobs it has made.
func (p *CauseProber) release(ctx context.Context, cause string, s *served, r causeRelease) (made int, err error) {
	if r.most < 1 {
		return 0, nil
	}
	steps := []func(context.Context, *store.ReleaseDeliveriesParams) (causeTurn, error){p.releaseDecisions, p.releaseDeliveries}
	first := 0
	if s.deliveriesFirst {
		first = 1
	}
	s.deliveriesFirst = !s.deliveriesFirst
	err = p.cfg.Adopt(func(process string) (jobs []*rivertype.JobRow, err error) {
		for i := 0; i < len(steps) && r.most > 0 && err == nil; i++ {
			of := (first + i) % len(steps)
			turn, shares := &s.turns[of], causeShares
			if r.only != "" {
				turn, shares = new(string), 1
			}
			round := false // from the first share on nothing was released
			for again := true; again && r.most > 0 && err == nil; {
				var t causeTurn
				after := *turn
				t, err = steps[of](ctx, &store.ReleaseDeliveriesParams{
					Cause:     cause,
					After:     after,
					OneShare:  r.only,
					MaxShares: shares,
					Each:      min(r.each, r.most),
					MaxRows:   r.most,
					Process:   process,
				})
				if err == nil {
					p.begin(cause, s, &t, process == "", r.probe)
					*turn = t.next(r.most)
					r.most -= t.rows()
					jobs = append(jobs, t.jobs...)
					round = len(t.jobs) == 0 && (round || after == "")
					again = r.only == "" && (!round || *turn != "") // what is left may be locked
				}
			}
		}
		made = len(jobs)
		return jobs, err
	})
	return made, err
}

// releaseFit releases what is held of shares for which the cause is over, so many rows at most.
func (p *CauseProber) releaseFit(ctx context.Context, cause string, s *served, room int) (made int, err error) {
	for share := range s.fit {
		did, err := p.release(ctx, cause, s, causeRelease{
			most: room - made, // a job has a row at least
			each: maxReleased,
			only: share,
		})
		if made += did; err != nil {
			return made, err
		}
		if did == 0 && made < room {
			delete(s.fit, share)
		}
	}
	return made, nil
}

// begin counts jobs until Ended is called of them.
func (p *CauseProber) begin(cause string, s *served, t *causeTurn, elsewhere, probe bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range t.released {
		r.cause = cause
		r.since = time.Now()
		r.elsewhere = elsewhere
		r.share = t.shares[i]
		r.probe = probe
		if probe {
			s.probes++
		}
		p.jobs[t.jobs[i].ID] = r
	}
	s.out += len(t.released)
	p.released.Add(int64(len(t.released)))
}

func (p *CauseProber) releaseDeliveries(ctx context.Context, params *store.ReleaseDeliveriesParams) (t causeTurn, err error) {
	rows, err := p.cfg.Store.ReleaseDeliveries(ctx, params)
	for i := range rows {
		row := &rows[i]
		t.last, t.more = row.Last, row.More
		if row.JobID == 0 {
			continue
		}
		t.add(row, &releasedJob{delivery: row.DeliveryID})
	}
	return t, err
}

func (p *CauseProber) releaseDecisions(ctx context.Context, params *store.ReleaseDeliveriesParams) (t causeTurn, err error) {
	rows, err := p.cfg.Store.ReleaseDecisions(ctx, new(store.ReleaseDecisionsParams(*params)))
	for i := range rows {
		row := &rows[i]
		t.last, t.more = row.Last, row.More
		if row.JobID == 0 {
			continue
		}
		t.add(&store.ReleaseDeliveriesRow{
			JobID:       row.JobID,
			Kind:        row.Kind,
			Args:        row.Args,
			MaxAttempts: row.MaxAttempts,
			Queue:       row.Queue,
			Tag:         row.Tag,
			Share:       row.Share,
		}, &releasedJob{intent: row.IntentID, subscriptions: row.Subscriptions})
	}
	return t, err
}

// add adds a job of a statement.
func (t *causeTurn) add(row *store.ReleaseDeliveriesRow, r *releasedJob) {
	t.released = append(t.released, r)
	t.shares = append(t.shares, row.Share)
	t.jobs = append(t.jobs, &rivertype.JobRow{
		ID:          row.JobID,
		Attempt:     1,
		EncodedArgs: row.Args,
		Kind:        row.Kind,
		MaxAttempts: row.MaxAttempts,
		Queue:       row.Queue,
		State:       rivertype.JobStateRunning,
		Tags:        []string{row.Tag},
	})
}
