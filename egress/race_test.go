package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// network is a connect function whose addresses answer after a time, fail after
// one, or never answer.
type network struct {
	answers map[string]time.Duration
	fails   map[string]time.Duration

	mu     sync.Mutex
	tried  []string
	at     []time.Duration
	begun  time.Time
	opened []*closing
}

// closing is a connection that notes that it was closed.
type closing struct {
	net.Conn

	name   string
	mu     sync.Mutex
	closed bool
}

func (c *closing) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (n *network) connect(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	name := addr.Addr().String()
	n.mu.Lock()
	n.tried, n.at = append(n.tried, name), append(n.at, time.Since(n.begun))
	n.mu.Unlock()
	wait, answers := n.answers[name]
	after, fails := n.fails[name]
	switch {
	case answers:
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		conn := &closing{name: name}
		n.mu.Lock()
		n.opened = append(n.opened, conn)
		n.mu.Unlock()
		return conn, nil
	case fails:
		<-time.After(after)
		return nil, errors.New(name + " failed")
	default:
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func targets(addrs ...string) []netip.AddrPort {
	all := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		all[i] = netip.AddrPortFrom(netip.MustParseAddr(addr), 443)
	}
	return all
}

func TestRace_NextAddressBeginsAfterTheDelayOrAFailure(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		network *network
		addrs   []netip.AddrPort
		want    string
		tried   []string
		at      []time.Duration
	}{
		"the first answers": {
			network: &network{answers: map[string]time.Duration{"192.0.2.1": 100 * time.Millisecond}},
			addrs:   targets("192.0.2.1", "192.0.2.2"),
			want:    "192.0.2.1",
			tried:   []string{"192.0.2.1"},
			at:      []time.Duration{0},
		},
		"a silent one is overtaken": {
			network: &network{answers: map[string]time.Duration{"192.0.2.2": 0}},
			addrs:   targets("192.0.2.1", "192.0.2.2"),
			want:    "192.0.2.2",
			tried:   []string{"192.0.2.1", "192.0.2.2"},
			at:      []time.Duration{0, attemptDelay},
		},
		"a failure does not wait": {
			network: &network{
				answers: map[string]time.Duration{"192.0.2.3": 0},
				fails:   map[string]time.Duration{"192.0.2.1": 0, "192.0.2.2": time.Millisecond},
			},
			addrs: targets("192.0.2.1", "192.0.2.2", "192.0.2.3"),
			want:  "192.0.2.3",
			tried: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"},
			at:    []time.Duration{0, 0, time.Millisecond},
		},
		"the families take turns": {
			network: &network{answers: map[string]time.Duration{"192.0.2.1": 0}},
			addrs:   targets("2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"),
			want:    "192.0.2.1",
			tried:   []string{"2001:db8::1", "192.0.2.1"},
			at:      []time.Duration{0, attemptDelay},
		},
		"a slow one still wins": {
			network: &network{answers: map[string]time.Duration{"192.0.2.1": 3 * attemptDelay / 2}},
			addrs:   targets("192.0.2.1", "192.0.2.2", "192.0.2.3"),
			want:    "192.0.2.1",
			tried:   []string{"192.0.2.1", "192.0.2.2"},
			at:      []time.Duration{0, attemptDelay},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			tc.network.begun = time.Now()
			conn, err := race(t.Context(), tc.addrs, tc.network.connect)
			require.NoError(t, err, name)
			require.Equal(t, tc.want, conn.(*closing).name, name)
			synctest.Wait()
			require.Equal(t, tc.tried, tc.network.tried, name)
			require.Equal(t, tc.at, tc.network.at, name)
		})
	}
}

func TestRace_ErrorIsThatOfTheFirstAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing := &network{fails: map[string]time.Duration{"192.0.2.1": time.Second, "192.0.2.2": 0}}
		_, err := race(t.Context(), targets("192.0.2.1", "192.0.2.2"), failing.connect)
		require.EqualError(t, err, "192.0.2.1 failed")

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		_, err = race(ctx, targets("192.0.2.1", "192.0.2.2"), (&network{}).connect)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(begun))
	})
}

// Whatever the addresses do, the race ends with a connection if one answers, and
// no other stays open.
func TestRace_OneConnectionRemains(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := &network{answers: map[string]time.Duration{}, fails: map[string]time.Duration{}}
		var addrs []netip.AddrPort
		for i := range rapid.IntRange(1, 6).Draw(rt, "addresses") {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			if rapid.Bool().Draw(rt, "IPv6") {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
			}
			addrs = append(addrs, netip.AddrPortFrom(addr, 443))
			wait := time.Duration(rapid.IntRange(0, 1000).Draw(rt, "ms")) * time.Millisecond
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				n.answers[addr.String()] = wait
			case 1:
				n.fails[addr.String()] = wait
			}
		}
		require.ElementsMatch(rt, addrs, interleaved(addrs))
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			conn, err := race(ctx, addrs, n.connect)
			synctest.Wait()
			<-time.After(time.Minute) // by the clock of the bubble
			if len(n.answers) == 0 {
				require.Error(rt, err)
				return
			}
			require.NoError(rt, err)
			for _, opened := range n.opened {
				require.Equal(rt, net.Conn(opened) != conn, opened.closed, opened.name)
			}
		})
	})
}

func TestRace_EachAddressIsJudged(t *testing.T) {
	t.Parallel()
	server, hits := countingServer(t)
	port := portOf(t, server)
	cfg := local("127.0.0.2/32")
	cfg.Resolver = resolveTo("127.0.0.1", "10.0.0.1", "169.254.169.254")
	_, err := post(t, newClient(t, cfg), "http://hooks.example.com:"+port+"/")
	requireBlocked(t, err, ruleAddress, "127.0.0.1 is not open: loopback")
	require.Zero(t, hits.Load())
}
