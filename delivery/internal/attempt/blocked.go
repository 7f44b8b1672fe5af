package attempt

import (
	"time"

	"github.com/riverhook/riverhook/delivery/internal/callbacks"
)

// uncalledWait is the wait of a delivery whose step of host code could not be recorded.
const uncalledWait = time.Second

// BlockedBy is what the state of the subscription, and then the circuit of its endpoint,
// make of a delivery that is to be attempted now; nil lets it pass.
func (t *Target) BlockedBy(now time.Time) *Transition {
	switch {
	case t.MessageGone:
		return t.Cancel("its message is not there any more")
	case t.Sub.Ended != "":
		return t.Cancel(t.Sub.Ended)
	case t.Sub.Epoch != t.Epoch:
		return t.Cancel("the subscription was deactivated meanwhile")
	case t.Sub.Waits != "":
		return t.HoldFor(HoldPaused, t.Sub.Waits)
	case t.Gone:
		return t.Postpone(GoneWait, "the endpoint answered 410 Gone")
	default:
		return t.blockedByCircuit(now)
	}
}

// blockedByCircuit lets a delivery pass for now where the circuit is not closed: the
// delivery has to be its probe, which is decided right before the request.
//
// A wait that the endpoint has asked for lets nothing through. The pause of a circuit
// that failures opened lets retries through, one at a time, so that a delivery alone
// at its endpoint keeps its schedule. Neither holds what a person wants at once.
func (t *Target) blockedByCircuit(now time.Time) *Transition {
	switch {
	case t.AtOnce:
		return nil
	case t.AskedUntil.After(now):
		return t.HoldFor(HoldCircuit, "the endpoint asked to wait")
	case t.Probe:
		return nil
	case t.Probed, t.CircuitUntil.After(now) && !t.IsRetry():
		return t.HeldByCircuit()
	default:
		return nil
	}
}

// HeldByCircuit holds the delivery until the circuit of its endpoint lets it pass.
func (t *Target) HeldByCircuit() *Transition {
	return t.HoldFor(HoldCircuit, "the endpoint is failing")
}

// NotCalled is what becomes of a delivery whose host code was not called, or whose call
// does not count; nil if err is another one.
func (t *Target) NotCalled(err error) *Transition {
	switch {
	case callbacks.IsEnded(err):
		return t.Cancel(err.Error())
	case callbacks.IsStall(err):
		return t.Postpone(uncalledWait, "its step could not be recorded")
	default:
		return nil
	}
}
