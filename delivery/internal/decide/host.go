package decide

import (
	"context"
	"time"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/dialect"
)

// Why decisions wait that others did not wait for.
const (
	reasonNotChecked = callbacks.ReasonUndecided + "there is no answer yet"
	reasonNotMade    = callbacks.ReasonExternalizer + "there is no message yet"
)

// asking is what host code is asked for the decisions about one event. A delivery is
// complete when its access is checked and its message is there.
type asking struct {
	by      *callbacks.Caller
	decider *Decider
	in      *Input

	decisions []Decision
	alone     bool             // one step after the other
	answers   []error          // to the requests
	first     []int            // by decision: the first of its requests
	missing   []int            // by decision: how many answers are not there
	of        []int            // by request: its decision
	requests  []access.Request // of all owners together
	complete  int              // deliveries
	failed    map[string]*failure
	made      map[string]dialect.Message
	make      func(name string) // begins the message in a dialect
	making    map[string][]int  // by dialect: the decisions that wait for its message

	came chan reply // has room for all of them, so that a step that nobody waits for ends
	open int        // steps that have not ended
}

// reply is what a step says: an answer to a request, or how it ended.
type reply struct {
	request int // -1: none
	answer  error

	ended   bool
	dialect string // of a message; "": of the checkers
	err     error  // that the checkers were not asked
	message dialect.Message
	failure *failure
}

// askHost asks checkers about all owners together, and makes a message in each dialect that
// is still needed and has none. It returns the messages.
func (d *Decider) askHost(ctx context.Context, by *callbacks.Caller, in *Input, decisions []Decision) map[string]dialect.Message {
	a := &asking{
		by:        by,
		decider:   d,
		in:        in,
		decisions: decisions,
		first:     make([]int, len(decisions)),
		missing:   make([]int, len(decisions)),
		failed:    map[string]*failure{},
		made:      map[string]dialect.Message{},
		making:    map[string][]int{},
	}
	delivering := 0
	for i := range decisions {
		if decisions[i].Outcome != OutcomeDeliver {
			continue
		}
		delivering++
		a.first[i] = len(a.requests)
		if sub := &decisions[i].Subscription; !sub.Operator {
			a.requests = d.Access.AppendRequests(a.requests, in.Event, in.Place, sub.Owner, sub.Permission)
		}
		for len(a.of) < len(a.requests) {
			a.of = append(a.of, i)
			a.missing[i]++
		}
	}
	a.alone = by.Alone() || delivering == 1
	a.answers = make([]error, len(a.requests))
	a.came = make(chan reply, len(a.requests)+delivering+1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.askAll(ctx)
	a.wait()
	return a.made
}

// askAll begins what can begin.
func (a *asking) askAll(ctx context.Context) {
	at := time.Now() // what is revoked while answers are under way is as old
	if len(a.requests) > 0 {
		for _, i := range a.of {
			a.decisions[i].AccessAt = at
		}
		a.step(func() {
			err := a.decider.Access.CheckEach(ctx, a.by, a.requests, func(i int, answer error) {
				a.came <- reply{request: i, answer: answer}
			})
			a.came <- reply{
				request: -1,
				ended:   true,
				err:     err,
			}
		})
	}
	a.make = func(name string) {
		a.step(func() {
			msg, f := a.decider.Messages.create(ctx, a.by, a.in.Event, name)
			a.came <- reply{
				request: -1,
				ended:   true,
				dialect: name,
				message: msg,
				failure: f,
			}
		})
	}
	for i := range a.decisions {
		if a.decisions[i].Outcome == OutcomeDeliver && a.missing[i] == 0 {
			a.allowed(i)
		}
	}
}

// step runs a step of host code.
func (a *asking) step(run func()) {
	a.open++
	if a.alone {
		run()
		return
	}
	go run()
}

// wait takes what comes, until all steps have ended, or until something is complete and the
// patience is over.
func (a *asking) wait() {
	var over <-chan time.Time // never, if there is nobody to wait for
	if a.in.Patience > 0 && !a.alone && a.open > 0 {
		timer := time.NewTimer(a.in.Patience)
		defer timer.Stop()
		over = timer.C
	}
	impatient := false
	for a.open > 0 {
		if impatient && a.complete > 0 && len(a.came) == 0 {
			a.leaveOut()
			return
		}
		select {
		case r := <-a.came:
			a.take(r)
		case <-over:
			impatient = true
		}
	}
}

func (a *asking) take(r reply) {
	if r.ended {
		a.open--
	}
	switch {
	case r.request >= 0:
		i := a.of[r.request]
		a.answers[r.request] = r.answer
		a.missing[i]--
		if a.missing[i] == 0 {
			a.answered(i)
		}
	case r.dialect != "":
		a.takeMessage(&r)
	case r.err != nil:
		for _, i := range a.of {
			a.decisions[i].set(OutcomeFailed, r.err.Error())
		}
	}
}

// answered enters the answers for a decision, of which none is missing.
func (a *asking) answered(i int) {
	decision := &a.decisions[i]
	for j := a.first[i]; j < len(a.of) && a.of[j] == i; j++ {
		if a.answers[j] != nil && decision.Outcome != OutcomeDenied {
			outcome, reason, cause := Refusal(a.answers[j], a.requests[j])
			decision.set(outcome, reason)
			decision.Cause = cause
			decision.OwnerUnknown = decision.Outcome == OutcomeUnresolvable && a.requests[j].Principal == decision.Subscription.Owner
		}
	}
	if decision.Outcome == OutcomeDeliver {
		a.allowed(i)
	}
}

// allowed goes on with a delivery that wants a message.
func (a *asking) allowed(i int) {
	name := a.decisions[i].Subscription.Dialect
	_, stored := a.in.Messages[name]
	_, made := a.made[name]
	f := a.failed[name]
	switch {
	case stored, made:
		a.complete++
	case f != nil:
		a.fail(i, f)
	default:
		waiting, begun := a.making[name]
		a.making[name] = append(waiting, i)
		if !begun {
			a.make(name)
		}
	}
}

func (a *asking) takeMessage(r *reply) {
	waiting := a.making[r.dialect]
	delete(a.making, r.dialect)
	if r.failure == nil {
		a.made[r.dialect] = r.message
		a.complete += len(waiting)
		return
	}
	a.failed[r.dialect] = r.failure
	for _, i := range waiting {
		a.fail(i, r.failure)
	}
}

// fail enters why there is no message for a decision.
func (a *asking) fail(i int, f *failure) {
	decision := &a.decisions[i]
	decision.set(f.outcome, f.reason)
	decision.Cause = f.cause
	if !f.counts {
		return
	}
	decision.Tries++
	if decision.Outcome == OutcomeWaiting && decision.Tries >= a.decider.Tries {
		decision.Outcome = OutcomeFailed
	}
}

// leaveOut lets the decisions wait that are not made. It counts for nothing.
func (a *asking) leaveOut() {
	for i := range a.decisions {
		if a.missing[i] > 0 {
			a.decisions[i].set(OutcomeWaiting, reasonNotChecked)
			a.decisions[i].AtOnce = true
		}
	}
	for _, waiting := range a.making {
		for _, i := range waiting {
			a.decisions[i].set(OutcomeWaiting, reasonNotMade)
			a.decisions[i].AtOnce = true
		}
	}
}
