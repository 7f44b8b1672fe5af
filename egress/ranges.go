package egress

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// namedRanges follows the IANA special-purpose address registries for IPv4 and
// IPv6; a range inside another one comes first.
var namedRanges = slices.Concat(
	named("unspecified", "0.0.0.0/32", "::/128"),
	named("this network", "0.0.0.0/8"),
	named("loopback", "127.0.0.0/8", "::1/128"),
	named("private", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
	named("shared address space", "100.64.0.0/10"),
	named("link-local", "169.254.0.0/16", "fe80::/10"),
	named("unique local", "fc00::/7"),
	named("site-local", "fec0::/10"),
	named("multicast", "224.0.0.0/4", "ff00::/8"),
	named("broadcast", "255.255.255.255/32"),
	named("documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
	named("benchmarking", "198.18.0.0/15", "2001:2::/48"),
	named("embedded IPv4", compatPrefix, translatedPrefix, nat64Prefix, nat64LocalPrefix, teredoPrefix, sixToFourPrefix),
	named("protocol assignments", "192.0.0.0/24", "2001::/23"),
	named("discard only", "100::/64"),
)

// metadataAddrs are the addresses at which clouds hand credentials to their
// machines, tasks and pods. Some are not in a special-purpose range at all
// (168.63.129.16), the others must stay closed when their range is opened.
var metadataAddrs = []netip.Addr{
	netip.MustParseAddr("169.254.169.254"),    // AWS, Azure, Google, Oracle, OpenStack, DigitalOcean, Hetzner and others
	netip.MustParseAddr("169.254.170.2"),      // AWS ECS task credentials
	netip.MustParseAddr("169.254.170.23"),     // AWS EKS pod identity
	netip.MustParseAddr("169.254.0.23"),       // Tencent Cloud
	netip.MustParseAddr("169.254.10.10"),      // Tencent Cloud
	netip.MustParseAddr("169.254.42.42"),      // Scaleway
	netip.MustParseAddr("100.100.100.200"),    // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),      // Azure wire server
	netip.MustParseAddr("192.0.0.192"),        // Oracle Cloud Classic
	netip.MustParseAddr("fd00:ec2::254"),      // AWS
	netip.MustParseAddr("fd00:ec2::23"),       // AWS EKS pod identity
	netip.MustParseAddr("fd20:ce::254"),       // Google
	netip.MustParseAddr("fd00:42::42"),        // Scaleway
	netip.MustParseAddr("fd00:100::100:200"),  // Alibaba Cloud
	netip.MustParseAddr("fd00:a9fe:a9fe::1"),  // Akamai (Linode)
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle
	netip.MustParseAddr("fe80::a9fe:a9fe"),    // OpenStack and others
}

func isMetadata(addr netip.Addr) bool {
	return slices.Contains(metadataAddrs, addr)
}

const (
	nat64Prefix      = "64:ff9b::/96"    // RFC 6052
	nat64LocalPrefix = "64:ff9b:1::/48"  // RFC 8215
	teredoPrefix     = "2001::/32"       // RFC 4380
	sixToFourPrefix  = "2002::/16"       // RFC 3056
	compatPrefix     = "::/96"           // RFC 4291, section 2.5.5.1
	translatedPrefix = "::ffff:0:0:0/96" // RFC 2765, section 2.1
)

var (
	lastFourPrefixes = []netip.Prefix{
		netip.MustParsePrefix(nat64Prefix),
		netip.MustParsePrefix(compatPrefix),
		netip.MustParsePrefix(translatedPrefix),
	}
	nat64Local = netip.MustParsePrefix(nat64LocalPrefix)
	teredo     = netip.MustParsePrefix(teredoPrefix)
	sixToFour  = netip.MustParsePrefix(sixToFourPrefix)
)

// embeddedIPv4 returns the IPv4 address that an IPv6 address leads to, or in the
// range for NAT64 of one's own all those that it may lead to: where its four bytes
// are depends on the length of the translator's prefix.
func embeddedIPv4(addr netip.Addr) []netip.Addr {
	if !addr.Is6() {
		return nil
	}
	b := addr.As16()
	if _, ok := findPrefix(lastFourPrefixes, addr); ok {
		// "::" and "::1" are addresses of their own.
		if binary.BigEndian.Uint64(b[:8]) == 0 && binary.BigEndian.Uint64(b[8:]) <= 1 {
			return nil
		}
		return []netip.Addr{netip.AddrFrom4([4]byte(b[12:]))}
	}
	switch {
	case nat64Local.Contains(addr):
		all := make([]netip.Addr, 0, 4)
		for _, bits := range []int{48, 56, 64, 96} {
			all = append(all, translated(addr, bits))
		}
		return all
	case sixToFour.Contains(addr):
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case teredo.Contains(addr):
		// The client's address is stored with its bits inverted.
		return []netip.Addr{netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

// translated returns the IPv4 address to which a translator whose prefix has so
// many bits sends what goes to addr (RFC 6052, section 2.2): byte 8 is left out.
func translated(addr netip.Addr, bits int) netip.Addr {
	b := addr.As16()
	var v4 [4]byte
	for i, at := 0, bits/8; i < len(v4); i, at = i+1, at+1 {
		if at == 8 {
			at++
		}
		v4[i] = b[at]
	}
	return netip.AddrFrom4(v4)
}

// translatedBy is the IPv4 address in one of the range for NAT64 of one's own,
// which an operator has opened by prefix: that of the translator, or a part of
// what one with 96 bits serves.
func translatedBy(prefix netip.Prefix, addr netip.Addr) (netip.Addr, bool) {
	switch bits := prefix.Bits(); {
	case bits == 48, bits == 56, bits == 64:
		return translated(addr, bits), true
	case bits >= 96:
		return translated(addr, 96), true
	default:
		return netip.Addr{}, false
	}
}
