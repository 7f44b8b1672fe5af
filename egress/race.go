package egress

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

// attemptDelay is how long one address has before the next is tried as well (RFC
// 8305, section 8, recommends 250 ms).
const attemptDelay = 250 * time.Millisecond

// race connects to one of the addresses of a name: to the first that answers. They
// are tried in order, the families in turn; the next begins when the one before
// has failed or has not answered within attemptDelay (RFC 8305, sections 4 and 5). If none
// answers, the error is that of the first address.
//
// connect judges each address itself. Connections that lose are closed.
func race(
	ctx context.Context, addrs []netip.AddrPort, connect func(ctx context.Context, addr netip.AddrPort) (net.Conn, error),
) (net.Conn, error) {
	type result struct {
		index int
		conn  net.Conn
		err   error
	}
	addrs = interleaved(addrs)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addrs)) // nobody who loses waits to say so
	begun := 0
	ended := 0
	next := time.NewTimer(0)
	defer next.Stop()
	defer func() {
		pending := begun - ended
		go func() {
			for range pending {
				if late := <-results; late.conn != nil {
					_ = late.conn.Close()
				}
			}
		}()
	}()

	errs := make([]error, len(addrs))
	for ended < len(addrs) {
		select {
		case <-next.C:
			index, addr := begun, addrs[begun]
			go func() {
				conn, err := connect(ctx, addr)
				results <- result{index, conn, err}
			}()
			begun++
			if begun < len(addrs) {
				next.Reset(attemptDelay)
			}
		case got := <-results:
			ended++
			if got.err == nil {
				return got.conn, nil
			}
			errs[got.index] = got.err
			if begun < len(addrs) {
				next.Reset(0)
			}
		}
	}
	return nil, errs[0]
}

// interleaved has the address families in turn, beginning with that of the first.
func interleaved(addrs []netip.AddrPort) []netip.AddrPort {
	var families [2][]netip.AddrPort
	for _, addr := range addrs {
		family := 0
		if addr.Addr().Unmap().Is4() != addrs[0].Addr().Unmap().Is4() {
			family = 1
		}
		families[family] = append(families[family], addr)
	}
	turns := make([]netip.AddrPort, 0, len(addrs))
	for i := range max(len(families[0]), len(families[1])) {
		for _, family := range families {
			turns = append(turns, family[min(i, len(family)):min(i+1, len(family))]...)
		}
	}
	return slices.Clip(turns)
}
