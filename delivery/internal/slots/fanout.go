package slots

import (
	"context"
	"time"
)

const (
	// MaxParallel is how many attempts a River job may have under way whatever other
	// jobs do.
	MaxParallel = 32

	// sharedPart is the part of the requests that a process may have in flight which
	// jobs with more attempts than MaxParallel share, so that slow endpoints of a large
	// fan-out delay neither its other attempts nor other events of its share.
	sharedPart = 0.75

	// AdmittedPerRequest is how many attempts of fan-outs a process lets queue up at
	// their endpoints for each request that it may have in flight. The turn of more
	// would be far off, however fast the endpoints are, so they would be held: a row
	// and a River job for what is only a burst.
	AdmittedPerRequest = 4
)

// FanOuts bounds the attempts of fan-outs in one process, by the shares of their events. It
// is safe for concurrent use.
type FanOuts struct {
	shared   *Turns // of attempts beyond MaxParallel of their job
	admitted *Turns // of attempts that wait for their turn or have it
}

// NewFanOuts makes the FanOuts of a process that may have so many requests in flight.
func NewFanOuts(maxInFlight int) *FanOuts {
	return &FanOuts{
		shared:   NewTurns(int(sharedPart * float64(maxInFlight))),
		admitted: NewTurns(AdmittedPerRequest * maxInFlight),
	}
}

// Admitted is how many attempts wait for their turn or have it.
func (f *FanOuts) Admitted() int { return f.admitted.InUse() }

// DropUnused drops what is known of shares that had no attempts lately.
func (f *FanOuts) DropUnused(now time.Time) {
	f.shared.DropUnused(now)
	f.admitted.DropUnused(now)
}

// Job returns what bounds the attempts of one River job, of a share.
func (f *FanOuts) Job(of Share) Job {
	return Job{
		process: f,
		share:   of,
		own:     make(chan struct{}, MaxParallel),
	}
}

// Job bounds the attempts of one River job. It is safe for concurrent use.
type Job struct {
	process *FanOuts
	share   Share
	own     chan struct{}
}

// Lane is where an attempt counts: among those of its job, or among those that the large
// jobs of a process share.
type Lane struct {
	job      *Job
	shared   Slot // zero: it is one of the job's own
	admitted Slot
}

// Enter waits until one more attempt may queue up at its endpoint. The caller gives the
// lane back by Leave when the attempt is recorded or handed over.
func (j *Job) Enter() Lane {
	lane := Lane{job: j}
	select {
	case j.own <- struct{}{}:
	default:
		lane.shared = j.either()
	}
	lane.admitted, _ = j.process.admitted.Await(context.Background(), j.share) // it has no end, so there is a slot
	return lane
}

// either waits for a lane of the job, then it returns zero, or for one that is shared.
func (j *Job) either() Slot {
	shared := j.process.shared
	s, w := shared.enter(j.share, true, time.Now())
	if w != nil {
		select {
		case <-w.given:
		case j.own <- struct{}{}:
			if shared.giveUp(s, w) {
				return Slot{}
			}
			<-j.own // both at once
		}
	}
	return Slot{
		turns: shared,
		share: s,
		since: time.Now(),
	}
}

// Leave ends what Enter began.
func (l Lane) Leave() {
	l.admitted.Leave()
	if l.shared.turns != nil {
		l.shared.Leave()
	} else {
		<-l.job.own
	}
}
