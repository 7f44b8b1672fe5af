package batch

// sideEach is how many items of one share the side lane has at most. A share that has more is
// as the others.
const sideEach = 16

// lane is items that wait for the same flusher. The lock of its Group guards it.
type lane[In, Out any] struct {
	each   int // how many items of one share it takes
	queue  []*call[In, Out]
	active bool           // its flusher is at work
	shares map[string]int // items of each share that wait or are being flushed
}

func (l *lane[In, Out]) has(share string) bool { return l.shares[share] > 0 }

// takes is true if a share may have one more item here.
func (l *lane[In, Out]) takes(share string) bool { return l.shares[share] < l.each }

// add counts items of a share.
func (l *lane[In, Out]) add(share string, n int) {
	if share == "" {
		return
	}
	if l.shares == nil {
		l.shares = map[string]int{}
	}
	if l.shares[share] += n; l.shares[share] == 0 {
		delete(l.shares, share)
	}
}
