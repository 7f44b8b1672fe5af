package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// dialer opens connections. The judgement sits in the socket's control hook,
// which runs after resolution, for each address, right before connect.
type dialer struct {
	policy  *Policy
	net     *net.Dialer
	tunnels *tunnels // through the proxy; nil without one
}

func (p *Policy) dialer(timeout time.Duration) *dialer {
	d := &dialer{policy: p}
	d.net = &net.Dialer{Timeout: timeout, ControlContext: d.control}
	if p.cfg.Proxy != nil {
		d.tunnels = p.cfg.Proxy.tunnels(timeout)
	}
	return d
}

func (d *dialer) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return &BlockedError{rule: ruleAddress, Reason: fmt.Sprintf("network %q is not open", network)}
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &BlockedError{rule: ruleAddress, Reason: "the dialled address cannot be read"}
	}
	if err := d.policy.checkPort(target.Port()); err != nil {
		return err
	}
	own, err := d.ownAddrs()
	if err != nil {
		return err
	}
	return d.policy.checkAddr(target.Addr(), own)
}

func (d *dialer) ownAddrs() (map[netip.Addr]bool, error) {
	own, err := d.policy.own.get()
	if err != nil {
		return nil, &BlockedError{rule: ruleAddress, Reason: "the addresses of this host cannot be listed: " + err.Error()}
	}
	return own, nil
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tunnels != nil {
		if err := d.judgeTarget(address); err != nil {
			return nil, err
		}
		return d.tunnels.dial(ctx, address)
	}
	resolver := d.policy.cfg.Resolver
	if resolver == nil {
		return d.net.DialContext(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.net.DialContext(ctx, network, address)
	}
	// One connect timeout for the name and all its addresses, as in net.Dialer.
	ctx, cancel := context.WithTimeout(ctx, d.net.Timeout)
	defer cancel()
	addrs, err := lookUp(ctx, resolver, host)
	if err != nil {
		return nil, &net.OpError{
			Op:  "dial",
			Net: network,
			Err: asDNSError(err, host),
		}
	}
	if len(addrs) == 0 {
		return nil, &net.OpError{
			Op:  "dial",
			Net: network,
			Err: asDNSError(errors.New("no such host"), host),
		}
	}
	number, err := net.DefaultResolver.LookupPort(ctx, network, port)
	if err != nil {
		return nil, &net.OpError{
			Op:  "dial",
			Net: network,
			Err: err,
		}
	}
	targets := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		targets[i] = netip.AddrPortFrom(addr, uint16(number)) //nolint:gosec // LookupPort returns 0 to 65535
	}
	return race(ctx, targets, func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
		return d.net.DialContext(ctx, network, addr.String())
	})
}

// lookUp asks a Resolver, which is the application's and called by a goroutine of
// net/http: its panic would end the process, and a connection that is never opened
// counts among those of its host.
func lookUp(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	type answer struct {
		addrs []netip.Addr
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		a := answer{err: errors.New("the Resolver ended its goroutine")}
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("the Resolver panicked: %v", p)}
			}
			done <- a
		}()
		a.addrs, a.err = r.LookupNetIP(ctx, "ip", host)
	}()
	select {
	case a := <-done:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// asDNSError lets callers tell a failed lookup from a failed connect, whatever
// the Resolver returned.
func asDNSError(err error, host string) error {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return err
	}
	return &net.DNSError{
		UnwrapErr: err,
		Err:       err.Error(),
		Name:      host,
		IsTimeout: errors.Is(err, context.DeadlineExceeded),
	}
}

// ownAddrs caches the addresses of the host's interfaces for a short while.
type ownAddrs struct {
	list   func() ([]net.Addr, error)
	maxAge time.Duration

	mu    sync.Mutex
	at    time.Time
	addrs map[netip.Addr]bool
}

func newOwnAddrs(maxAge time.Duration) *ownAddrs {
	return &ownAddrs{list: net.InterfaceAddrs, maxAge: maxAge}
}

func (o *ownAddrs) get() (map[netip.Addr]bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.addrs != nil && time.Since(o.at) < o.maxAge {
		return o.addrs, nil
	}
	list, err := o.list()
	if err != nil {
		return nil, err
	}
	addrs := make(map[netip.Addr]bool, len(list))
	for _, entry := range list {
		if ipNet, ok := entry.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(ipNet.IP); ok {
				addrs[addr.Unmap()] = true
			}
		}
	}
	o.addrs, o.at = addrs, time.Now()
	return addrs, nil
}
