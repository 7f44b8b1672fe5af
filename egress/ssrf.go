package egress

import (
	"fmt"
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// checkAddr judges one address by classification: nil, or a *BlockedError that says
// what kind of address it is. IPv4-mapped IPv6 is judged as the IPv4 address it reaches,
// and zones are ignored. own are the host's own addresses, if they are to be refused.
func (p *Policy) checkAddr(addr netip.Addr, own map[netip.Addr]bool) error {
	if !addr.IsValid() {
		return &BlockedError{rule: ruleAddress, Reason: "invalid address"}
	}
	// A prefix never contains an address with a zone.
	addr = addr.Unmap().WithZone("")

	embedded := embeddedIPv4(addr)
	if isMetadata(addr) || slices.ContainsFunc(embedded, isMetadata) {
		return blockedAddr(addr, "cloud metadata")
	}
	if prefix, ok := findPrefix(p.cfg.DenyCIDRs, addr); ok {
		return blockedAddr(addr, "closed by "+prefix.String())
	}
	if prefix, ok := findPrefix(p.cfg.AllowCIDRs, addr); ok {
		return p.checkEmbedded(prefix, addr, embedded, own)
	}
	if kind := classify(addr); kind != "" {
		return blockedAddr(addr, kind)
	}
	if own[addr] {
		return blockedAddr(addr, "an address of this host")
	}
	return nil
}

// checkEmbedded judges the IPv4 address in an IPv6 one that prefix has opened.
func (p *Policy) checkEmbedded(prefix netip.Prefix, addr netip.Addr, embedded []netip.Addr, own map[netip.Addr]bool) error {
	switch len(embedded) {
	case 0:
		return nil
	case 1:
		return p.checkAddr(embedded[0], own)
	}
	v4, ok := translatedBy(prefix, addr)
	if !ok {
		return blockedAddr(addr, fmt.Sprintf(
			"embedded IPv4, and %s does not tell where: open the prefix of the translator, of 48, 56, 64 or 96 bits", prefix))
	}
	return p.checkAddr(v4, own)
}

func blockedAddr(addr netip.Addr, kind string) error {
	return &BlockedError{rule: ruleAddress, Reason: fmt.Sprintf("%s is not open: %s", addr, kind)}
}

// findPrefix returns the longest of the prefixes that hold addr.
func findPrefix(prefixes []netip.Prefix, addr netip.Addr) (found netip.Prefix, ok bool) {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) && (!ok || prefix.Bits() > found.Bits()) {
			found, ok = prefix, true
		}
	}
	return found, ok
}

// registry holds the IANA special-purpose registries. It decides; the ranges
// below only give its refusals a name, and add what it lacks.
var registry = ssrf.New(ssrf.WithAnyPort())

// classify names the kind of an address that is not public, "" for a public one.
func classify(addr netip.Addr) string {
	for _, r := range namedRanges {
		if r.prefix.Contains(addr) {
			return r.kind
		}
	}
	if registry.SafeAddr(addr) != nil {
		return "reserved"
	}
	return ""
}

type namedRange struct {
	prefix netip.Prefix
	kind   string
}

func named(kind string, prefixes ...string) []namedRange {
	out := make([]namedRange, 0, len(prefixes))
	for _, prefix := range prefixes {
		out = append(out, namedRange{prefix: netip.MustParsePrefix(prefix), kind: kind})
	}
	return out
}
