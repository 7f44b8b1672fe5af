package delivery

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// ids makes ids of version 7 (RFC 9562, section 5.7) by the clock of the database, each
// greater than the one before: pruning keeps the greatest, so that those of a clock
// that runs ahead would outlive all that comes later.
type ids struct {
	now  func() time.Time
	last atomic.Int64 // in units of a millisecond's 4096th part, the fraction that an id holds
}

func (i *ids) next() uuid.UUID {
	at := i.now()
	units := at.UnixMilli()<<12 | int64(at.Nanosecond()%int(time.Millisecond))<<12/int64(time.Millisecond)
	for {
		last := i.last.Load()
		units = max(units, last+1)
		if i.last.CompareAndSwap(last, units) {
			break
		}
	}
	// Its last 62 bits are by chance.
	id := uuid.New()
	binary.BigEndian.PutUint64(id[:8], uint64(units>>12)<<16|0x7000|uint64(units&0xfff)) //nolint:gosec // after 1970
	return id
}
