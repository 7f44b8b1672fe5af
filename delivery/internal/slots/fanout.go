package slots

const (
	// MaxParallel is how many attempts a River job may have under way whatever other
	// jobs do.
	MaxParallel = 32

	// sharedPart is the part of the requests that a process may have in flight which
	// jobs with more attempts than MaxParallel share, so that slow endpoints of a large
	// fan-out delay neither its other attempts nor other events.
	sharedPart = 0.75

	// AdmittedPerRequest is how many attempts of fan-outs a process lets queue up at
	// their endpoints for each request that it may have in flight. The turn of more
	// would be far off, however fast the endpoints are, so they would be held: a row
	// and a River job for what is only a burst.
	AdmittedPerRequest = 4
)

// FanOuts bounds the attempts of fan-outs in one process. It is safe for concurrent use.
type FanOuts struct {
	shared   chan struct{} // attempts beyond MaxParallel of their job
	admitted chan struct{} // attempts that wait for their turn or have it
}

// NewFanOuts makes the FanOuts of a process that may have so many requests in flight.
func NewFanOuts(maxInFlight int) *FanOuts {
	return &FanOuts{
		shared:   make(chan struct{}, int(sharedPart*float64(maxInFlight))),
		admitted: make(chan struct{}, AdmittedPerRequest*maxInFlight),
	}
}

// Admitted is how many attempts wait for their turn or have it.
func (f *FanOuts) Admitted() int { return len(f.admitted) }

// Job returns what bounds the attempts of one River job.
func (f *FanOuts) Job() Job {
	return Job{
		process: f,
		own:     make(chan struct{}, MaxParallel),
	}
}

// Job bounds the attempts of one River job. It is safe for concurrent use.
type Job struct {
	process *FanOuts
	own     chan struct{}
}

// Lane is where an attempt counts: in those of its job, or in those that the large jobs
// of a process share.
type Lane chan struct{}

// Enter waits until one more attempt may queue up at its endpoint. The caller gives the
// lane back by Leave when the attempt is recorded or handed over.
func (j *Job) Enter() Lane {
	lane := j.own
	select {
	case j.own <- struct{}{}:
	default:
		select {
		case j.own <- struct{}{}:
		case j.process.shared <- struct{}{}:
			lane = j.process.shared
		}
	}
	j.process.admitted <- struct{}{}
	return lane
}

// Leave ends what Enter began.
func (j *Job) Leave(lane Lane) {
	<-j.process.admitted
	<-lane
}
