package egress

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// boundaries lists, for each closed range, its first and last address and the
// open neighbours just outside; "" where the neighbour belongs to another range.
var boundaries = []struct {
	kind, before, first, last, after string
}{
	{"unspecified", "", "0.0.0.0", "0.0.0.0", ""},
	{"this network", "", "0.0.0.1", "0.255.255.255", "1.0.0.0"},
	{"private", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
	{"shared address space", "100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
	{"loopback", "126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
	{"cloud metadata", "168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"},
	{"link-local", "169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
	{"cloud metadata", "", "169.254.169.254", "169.254.169.254", ""},
	{"private", "172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
	{"protocol assignments", "191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
	{"documentation", "192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
	{"reserved", "192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"},
	{"reserved", "192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"},
	{"reserved", "192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
	{"private", "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
	{"reserved", "192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"},
	{"benchmarking", "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
	{"documentation", "198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
	{"documentation", "203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
	{"multicast", "223.255.255.255", "224.0.0.0", "239.255.255.255", ""},
	{"reserved", "", "240.0.0.0", "255.255.255.254", ""},
	{"broadcast", "", "255.255.255.255", "255.255.255.255", ""},

	{"unspecified", "", "::", "::", ""},
	{"loopback", "", "::1", "::1", ""},
	{"embedded IPv4", "", "::2", "::ffff:ffff", ""},
	{"embedded IPv4", "", "::ffff:0:0:0", "::ffff:0:ffff:ffff", ""},
	{"embedded IPv4", "", "64:ff9b::", "64:ff9b::ffff:ffff", ""},
	{"embedded IPv4", "", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ""},
	{"discard only", "", "100::", "100::ffff:ffff:ffff:ffff", ""},
	{"embedded IPv4", "", "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"protocol assignments", "", "2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
	{"benchmarking", "", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", ""},
	{"documentation", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
	{"embedded IPv4", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"},
	{"reserved", "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff", "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"},
	{"documentation", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
	{"reserved", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"reserved", "", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
	{"unique local", "", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"cloud metadata", "", "fd00:ec2::254", "fd00:ec2::254", ""},
	{"link-local", "", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"site-local", "", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
	{"multicast", "", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""},
}

// closedNeighbours are the addresses beside a range that belong to another one, by
// the kind of that.
var closedNeighbours = map[string][]string{
	"cloud metadata": {"fe80::a9fe:a9fe", "100.100.100.200", "192.0.0.192"},
	"embedded IPv4":  {"2001:0:ffff:ffff:ffff:ffff:ffff:ffff"},
	"link-local":     {"169.254.169.253", "169.254.169.255", "fe80::a9fe:a9fd", "fe80::a9fe:a9ff"},
	"protocol assignments": {
		"192.0.0.191", "192.0.0.193", "2001:1::", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", "2001:2:1::",
	},
	"reserved": {
		"240.0.0.0", "255.255.255.254", "::1:0:0", "::fffe:ffff:ffff:ffff", "::ffff:1:0:0",
		"64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::1:0:0", "64:ff9b:0:ffff:ffff:ffff:ffff:ffff", "64:ff9b:2::",
		"ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "100:0:0:1::", "5f00::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::",
		"fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	},
	"shared address space": {"100.100.100.199", "100.100.100.201"},
	"site-local":           {"fec0::"},
	"this network":         {"0.0.0.1"},
	"unique local":         {"fd00:ec2::253", "fd00:ec2::255", "fd20:ce::253", "fd00:c1::a9fe:a9fd", "fd00:a9fe:a9fe::2"},
}

func newPolicy(t *testing.T, cfg *Config) *Policy {
	t.Helper()
	policy, err := New(cfg)
	require.NoError(t, err)
	return policy
}

func requireBlocked(t *testing.T, err error, rule rule, reason string) {
	t.Helper()
	require.ErrorIs(t, err, ErrBlocked)
	var blocked *BlockedError
	require.ErrorAs(t, err, &blocked)
	require.Equal(t, rule, blocked.rule)
	require.Contains(t, blocked.Reason, reason)
}

func TestCheckAddr_EachClosedRangeEndsWhereTheRegistrySaysItEnds(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for _, tc := range boundaries {
		for _, text := range []string{tc.first, tc.last} {
			requireBlocked(t, policy.checkAddr(netip.MustParseAddr(text), nil), ruleAddress, tc.kind)
		}
		for _, text := range []string{tc.before, tc.after} {
			if text != "" {
				require.NoError(t, policy.checkAddr(netip.MustParseAddr(text), nil), "%s is outside of %s", text, tc.kind)
			}
		}
	}
}

func TestCheckAddr_BesideAClosedRangeTheNextOneBegins(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for kind, texts := range closedNeighbours {
		for _, text := range texts {
			requireBlocked(t, policy.checkAddr(netip.MustParseAddr(text), nil), ruleAddress, text+" is not open: "+kind)
		}
	}
}

func TestCheckAddr_AMappedAddressIsJudgedAsTheIPv4AddressItReaches(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for _, tc := range boundaries {
		addr := netip.MustParseAddr(tc.first)
		if addr.Is4() {
			requireBlocked(t, policy.checkAddr(netip.AddrFrom16(addr.As16()), nil), ruleAddress, tc.kind)
		}
	}
	require.NoError(t, policy.checkAddr(netip.MustParseAddr("::ffff:8.8.8.8"), nil))
}

func TestCheckAddr_AZoneDoesNotHideAnAddress(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	requireBlocked(t, policy.checkAddr(netip.MustParseAddr("fe80::1%eth0"), nil), ruleAddress, "link-local")
	requireBlocked(t, policy.checkAddr(netip.MustParseAddr("fd00:ec2::254%eth0"), nil), ruleAddress, "cloud metadata")
	requireBlocked(t, policy.checkAddr(netip.MustParseAddr("2001:db8::1%1"), nil), ruleAddress, "documentation")
}

func TestCheckAddr_AnInvalidAddressIsClosed(t *testing.T) {
	t.Parallel()
	requireBlocked(t, newPolicy(t, nil).checkAddr(netip.Addr{}, nil), ruleAddress, "invalid")
}

func TestCheckAddr_ACIDROpensItsRangeAndNothingBesideIt(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{
		netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd12:3456::/32"),
	}})

	for _, text := range []string{"10.20.0.0", "10.20.255.255", "::ffff:10.20.1.1", "fd12:3456::1", "8.8.8.8"} {
		require.NoError(t, policy.checkAddr(netip.MustParseAddr(text), nil), text)
	}
	for _, text := range []string{"10.19.255.255", "10.21.0.0", "fd12:3457::1", "127.0.0.1", "64:ff9b::10.20.1.1"} {
		require.ErrorIs(t, policy.checkAddr(netip.MustParseAddr(text), nil), ErrBlocked, text)
	}
}

func TestCheckAddr_MetadataStaysClosedWhateverIsOpened(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0"),
	}})

	require.NoError(t, policy.checkAddr(netip.MustParseAddr("169.254.169.253"), nil))
	for _, addr := range metadataAddrs {
		requireBlocked(t, policy.checkAddr(addr, nil), ruleAddress, "cloud metadata")
	}
	for _, text := range []string{
		"::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254",
		"2002:a9fe:a9fe::1", "2001:0:1:2:3:4:5601:5601", "::ffff:0:169.254.169.254",
		"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
	} {
		requireBlocked(t, policy.checkAddr(netip.MustParseAddr(text), nil), ruleAddress, "cloud metadata")
	}
}

func TestCheckAddr_AnEmbeddedAddressMustBeOpenByItself(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{
		netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2001::/32"), netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("10.20.0.0/16"),
	}})

	for _, text := range []string{
		"64:ff9b::8.8.8.8", "64:ff9b::10.20.0.1", "2002:808:808::1", "2001:0:1:2:3:4:f7f7:f7f7",
	} {
		require.NoError(t, policy.checkAddr(netip.MustParseAddr(text), nil), text)
	}
	for _, text := range []string{
		"64:ff9b::127.0.0.1", "64:ff9b::10.21.0.1", "2002:7f00:1::1", "2001:0:1:2:3:4:80ff:fffe",
	} {
		require.ErrorIs(t, policy.checkAddr(netip.MustParseAddr(text), nil), ErrBlocked, text)
	}
}

// The figures are those of RFC 6052, section 2.4, for another prefix.
func TestCheckAddr_TheIPv4AddressIsWhereATranslatorsOwnPrefixPutsIt(t *testing.T) {
	t.Parallel()

	for prefix, tc := range map[string]struct{ public, private string }{
		"64:ff9b:1::/48":             {"64:ff9b:1:808:8:800::", "64:ff9b:1:a00:0:100::"},
		"64:ff9b:1:100::/56":         {"64:ff9b:1:108:8:808::", "64:ff9b:1:10a:0:1::"},
		"64:ff9b:1:101::/64":         {"64:ff9b:1:101:8:808:800:0", "64:ff9b:1:101:a:0:100:0"},
		"64:ff9b:1:101::/96":         {"64:ff9b:1:101::8.8.8.8", "64:ff9b:1:101::10.0.0.1"},
		"64:ff9b:1:101::8.0.0.0/104": {"64:ff9b:1:101::8.8.8.8", "64:ff9b:1:101::10.0.0.1"},
	} {
		policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix(prefix)}})
		require.NoError(t, policy.checkAddr(netip.MustParseAddr(tc.public), nil), prefix)
		require.ErrorIs(t, policy.checkAddr(netip.MustParseAddr(tc.private), nil), ErrBlocked, prefix)
	}
	// What a longer prefix would lead to says nothing: here 8.8.8.8 is no more than padding.
	policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("64:ff9b:1::/48")}})
	err := policy.checkAddr(netip.MustParseAddr("64:ff9b:1:7f00:0:100:808:808"), nil)
	requireBlocked(t, err, ruleAddress, "127.0.0.1 is not open: loopback")

	for _, prefix := range []string{"::/0", "64:ff9b:1::/49", "64:ff9b:1::/80"} {
		policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix(prefix)}})
		requireBlocked(t, policy.checkAddr(netip.MustParseAddr("64:ff9b:1::8.8.8.8"), nil), ruleAddress, prefix+" does not tell where")
	}
	both := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("::/0"), netip.MustParsePrefix("64:ff9b:1::/96")}})
	require.NoError(t, both.checkAddr(netip.MustParseAddr("64:ff9b:1::8.8.8.8"), nil), "the longest prefix counts")
}

func TestCheckAddr_ADeniedRangeIsClosedBeforeAnyIsOpened(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		DenyCIDRs:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("8.8.8.0/24")},
	})

	require.NoError(t, policy.checkAddr(netip.MustParseAddr("10.2.0.1"), nil))
	requireBlocked(t, policy.checkAddr(netip.MustParseAddr("10.1.0.1"), nil), ruleAddress, "closed by 10.1.0.0/16")
	requireBlocked(t, policy.checkAddr(netip.MustParseAddr("8.8.8.8"), nil), ruleAddress, "closed by 8.8.8.0/24")
}

func TestCheckAddr_TheHostsOwnAddressesAreClosedUnlessOpened(t *testing.T) {
	t.Parallel()
	own := map[netip.Addr]bool{netip.MustParseAddr("8.8.8.8"): true}

	requireBlocked(t, newPolicy(t, nil).checkAddr(netip.MustParseAddr("8.8.8.8"), own), ruleAddress, "this host")
	requireBlocked(t, newPolicy(t, nil).checkAddr(netip.MustParseAddr("::ffff:8.8.8.8"), own), ruleAddress, "this host")
	opened := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("8.8.8.8/32")}})
	require.NoError(t, opened.checkAddr(netip.MustParseAddr("8.8.8.8"), own))
}

func TestCheckAddr_WhatTheRegistryClosesIsNeverOpenByDefault(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	rapid.Check(t, func(rt *rapid.T) {
		var addr netip.Addr
		if rapid.Bool().Draw(rt, "v4") {
			addr = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "bytes")))
		} else {
			addr = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "bytes")))
		}
		if policy.checkAddr(addr, nil) != nil {
			return
		}
		require.NoError(rt, registry.SafeAddr(addr.Unmap()))
		require.True(rt, addr.Unmap().IsGlobalUnicast())
		require.False(rt, addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsMulticast())
	})
}
