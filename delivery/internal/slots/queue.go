package slots

import "time"

// What waits for a slot of its endpoint keeps a worker too, and so does what was released
// and is on its way. So both count for the turn of their share.

// queue lets an attempt wait for a slot of its endpoint, until unqueue. It returns false if
// the share has so many waiting that the turn of another would be far off.
func (t *Turns) queue(of Share, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(of)
	if !of.Urgent && !t.worthWaiting(s, len(s.waiting)+s.queued, now) {
		return false
	}
	s.queued++
	t.settle(s)
	return true
}

func (t *Turns) unqueue(of Share) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(of)
	s.queued--
	t.settle(s)
}

// room is how many held deliveries of a share may be released, and the slots that the
// share can count on.
func (t *Turns) room(of Share, now time.Time) (room, part int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.known[of]
	part = t.part(s)
	if s == nil {
		s = &share{}
	}
	room = part - s.used
	if len(t.waiting) == 0 {
		room = max(room, t.general-t.used)
	}
	return room - len(s.waiting) - s.queued - s.onTheWay(now), part
}

// release enters that n more held deliveries of a share are on their way here; arrived that
// one of them has come.
func (t *Turns) release(of Share, n int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.get(of)
	s.released = max(s.onTheWay(now)+n, 0)
	s.releasedAt = now
}

func (t *Turns) arrived(of Share) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.known[of]; s != nil {
		s.released = max(s.released-1, 0)
	}
}
