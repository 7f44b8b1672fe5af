package slots

import (
	"container/heap"
	"time"

	"github.com/riverhook/riverhook/internal/sitetree"
)

// Share is whose turn something takes.
type Share struct {
	Name string

	// Urgent is what an application waits for: a question, a ping, a challenge. It is a
	// share of its own beside the deliveries of that name, and is not held.
	Urgent bool
}

// DefaultShare is the name of the share of a subscription: that of its site, and at the
// root its owner. One without an owner is the operator's.
func DefaultShare(site, owner string) string {
	switch name := sitetree.FirstSegment(site); {
	case name != "":
		return name
	case owner == "":
		return "/"
	case owner[0] == '/':
		return " " + owner // no owner has white space, and no site begins with it
	default:
		return owner
	}
}

// share is what Turns knows of a share. The lock of its Turns guards it.
type share struct {
	name    Share
	used    int
	waiting []*waitingTurn
	queued  int // its attempts that wait for a slot of their endpoint
	active  bool

	turn  uint64 // when it was served last, or began to wait
	index int    // in the heap of those that wait; -1: it is not there

	took  time.Duration // how long it keeps a slot, by a moving average
	since time.Time     // when it got a slot last, or gave one back, or was new

	released   int // deliveries that were released and are on their way here
	releasedAt time.Time
}

// waitingTurn is an attempt that waits for its turn.
type waitingTurn struct {
	given   chan bool // has room for one
	patient bool      // it is not sent away
}

// learn counts how long a slot was kept.
func (s *share) learn(took time.Duration) {
	if s.took == 0 {
		s.took = max(took, 1)
		return
	}
	s.took += (took - s.took) / 8
}

// onTheWay is how many released deliveries have not come for their slot yet.
func (s *share) onTheWay(now time.Time) int {
	if now.Sub(s.releasedAt) > releaseLapse {
		s.released = 0
	}
	return s.released
}

// soon is true if an attempt of a share that has ahead others before it is likely to have
// its turn soon, by the pace at which the share gives slots back. While it gives none back
// the expected wait grows.
func (s *share) soon(ahead int, now time.Time) bool {
	idle := now.Sub(s.since)
	if s.took == 0 {
		return ahead < newWaitingPerSlot*max(s.used, 1) && idle < newSlotWait
	}
	each := max(s.took/time.Duration(max(s.used, 1)), idle)
	return each <= slotWait/time.Duration(ahead+1)
}

// shares are the shares that wait, the one whose turn it is first: the one that has the
// fewest slots, and of several the urgent ones, and of those the one that was served
// longest ago. It is a [heap.Interface].
type shares []*share

var _ heap.Interface = (*shares)(nil)

func (h *shares) Len() int { return len(*h) }

func (h *shares) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	switch {
	case a.used != b.used:
		return a.used < b.used
	case a.name.Urgent != b.name.Urgent:
		return a.name.Urgent
	default:
		return a.turn < b.turn
	}
}

func (h *shares) Swap(i, j int) {
	s := *h
	s[i], s[j] = s[j], s[i]
	s[i].index = i
	s[j].index = j
}

// Push is that of [heap.Interface].
func (h *shares) Push(x any) {
	s, _ := x.(*share)
	s.index = len(*h)
	*h = append(*h, s)
}

// Pop is that of [heap.Interface].
func (h *shares) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.index = -1
	return s
}
