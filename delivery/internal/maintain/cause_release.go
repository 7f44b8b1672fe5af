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

// causeRelease says which rows of a cause to release.
type causeRelease struct {
	cause string
	known *served // what is known of the cause
	most  int     // rows
	each  int     // of one share, before others have their turn
	only  string  // the share that it is of; "": of all, by turns
	probe bool
}

// causeRows are the rows of one kind that are held for a cause.
type causeRows struct {
	release func(context.Context, *store.ReleaseDeliveriesParams) (causeTurn, error)
	turn    *string // the last share that had a turn
}

// release releases decisions and deliveries; which of them come first alternates. It returns how
// many jobs it has made.
func (p *CauseProber) release(ctx context.Context, r causeRelease) (made int, err error) {
	if r.most < 1 {
		return 0, nil
	}
	kinds := []causeRows{
		{p.releaseDecisions, &r.known.turns[0]},
		{p.releaseDeliveries, &r.known.turns[1]},
	}
	if r.known.deliveriesFirst {
		slices.Reverse(kinds)
	}
	r.known.deliveriesFirst = !r.known.deliveriesFirst
	err = p.cfg.Adopt(func(process string) (jobs []*rivertype.JobRow, err error) {
		for i := 0; i < len(kinds) && err == nil; i++ {
			var more []*rivertype.JobRow
			more, err = p.releaseRows(ctx, kinds[i], &r, process)
			jobs = append(jobs, more...)
		}
		made = len(jobs)
		return jobs, err
	})
	return made, err
}

// releaseRows releases rows of one kind and returns the jobs that it has made, also with an error.
func (p *CauseProber) releaseRows(
	ctx context.Context, kind causeRows, r *causeRelease, process string,
) (jobs []*rivertype.JobRow, err error) {
	turn, shares := kind.turn, causeShares
	if r.only != "" {
		turn, shares = new(string), 1
	}
	empty := false // nothing was released since the first share
	for r.most > 0 {
		first := *turn == ""
		t, err := kind.release(ctx, &store.ReleaseDeliveriesParams{
			Cause:     r.cause,
			After:     *turn,
			OneShare:  r.only,
			MaxShares: shares,
			Each:      min(r.each, r.most),
			MaxRows:   r.most,
			Process:   process,
		})
		if err != nil {
			return jobs, err
		}
		p.begin(r, &t, process == "")
		*turn = t.next(r.most)
		r.most -= t.rows()
		jobs = append(jobs, t.jobs...)
		empty = len(t.jobs) == 0 && (empty || first)
		if r.only != "" || empty && *turn == "" { // what is left may be locked
			break
		}
	}
	return jobs, nil
}

// releaseFit releases what is held of shares for which the cause is over, so many rows at most.
func (p *CauseProber) releaseFit(ctx context.Context, cause string, s *served, room int) (made int, err error) {
	for share := range s.fit {
		did, err := p.release(ctx, causeRelease{
			cause: cause,
			known: s,
			most:  room - made, // a job has a row at least
			each:  maxReleased,
			only:  share,
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
func (p *CauseProber) begin(of *causeRelease, t *causeTurn, elsewhere bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, r := range t.released {
		r.cause = of.cause
		r.since = time.Now()
		r.elsewhere = elsewhere
		r.share = t.shares[i]
		r.probe = of.probe
		if of.probe {
			of.known.probes++
		}
		p.jobs[t.jobs[i].ID] = r
	}
	of.known.out += len(t.released)
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
