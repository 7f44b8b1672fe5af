package attempt

// State is the state of a delivery. All but pending are final.
type State string

// The states, which the database stores by these names.
const (
	StateCancelled State = "cancelled"
	StateDelivered State = "delivered"
	StateExhausted State = "exhausted"
	StateExpired   State = "expired"
	StatePending   State = "pending"
)

// Hold is why a pending delivery waits without a River job; "" means that it is not held.
//
// It is a reason, not a lock. Whatever the reason, the oldest held deliveries go on as soon
// as their subscription is active, the circuit of its endpoint lets them pass, a slot is free
// and its rate has some (statements ReleaseHeld, ReleaseByRate and ProbeCircuits), a person may redeliver one (Redeliver),
// and MaxHold ends it (ExpireHeld). A cause alone is apart: what it holds goes on when it is
// over (ReleaseDeliveries), and then by these rules.
type Hold string

// The holds, which the database stores by these names.
const (
	HoldCause   Hold = "cause"   // this process lacks something, or cannot ask: see Cause
	HoldCircuit Hold = "circuit" // the endpoint fails, or has asked to wait
	HoldPaused  Hold = "paused"  // the subscription is paused
	HoldRate    Hold = "rate"    // the rate of the subscription, or of its owner, is used up
	HoldSlots   Hold = "slots"   // the endpoint, or its share, has as many requests in flight as it may have
)

// States and Holds are all of them.
var (
	States = []State{StateCancelled, StateDelivered, StateExhausted, StateExpired, StatePending}
	Holds  = []Hold{HoldCause, HoldCircuit, HoldPaused, HoldRate, HoldSlots}
)
