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

// Hold is what a pending delivery waits for without a River job; "" means that it is not
// held.
type Hold string

// The holds, which the database stores by these names.
const (
	HoldCircuit Hold = "circuit" // the endpoint fails, or has asked to wait
	HoldPaused  Hold = "paused"  // the subscription is paused
	HoldSlots   Hold = "slots"   // the endpoint has as many requests in flight as it may have
)
