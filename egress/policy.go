// Package egress decides where requests may go. A Policy checks the URL when a
// subscription is written and the address when a connection is opened, after
// the name was resolved, on every attempt: a name that changes its address
// between the two gains nothing.
//
// Without configuration a Policy lets https through to public addresses on
// ports 443 and 8443 and nothing else. What it owns: URL, port and address
// checks, and a transport that applies them. What it does not own: what is
// sent, and what an answer means.
package egress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Resolver turns a host name into addresses. *net.Resolver is one. An
// implementation must be safe for concurrent use, and return when ctx is done. A
// panic, or an answer that comes later, is a failed lookup. The interface will not
// grow.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config says what a Policy lets through beyond its default.
type Config struct {
	// AllowCIDRs opens addresses that are closed by default, such as
	// 10.20.0.0/16 for receivers in a private network. A prefix must be in
	// canonical form (no bits set behind its length, no IPv4-mapped IPv6). Cloud
	// metadata addresses stay closed even when a prefix holds them, and an IPv4
	// address embedded in IPv6 must be open by itself too. Default: none.
	AllowCIDRs []netip.Prefix

	// AllowHTTP lets plain http through beside https, and port 80.
	// Default: https only.
	AllowHTTP bool

	// AllowPorts opens ports, each 1 to 65535, beside 443 and 8443 (and 80 with
	// AllowHTTP). Default: none beside those.
	AllowPorts []int

	// AnyPort opens every port; AllowPorts must then be empty. Meant for tests
	// and for networks where endpoints choose their ports. Default: false.
	AnyPort bool

	// DenyCIDRs closes addresses, before AllowCIDRs opens any: an organization's
	// own public ranges, or the NAT64 prefix of its network. In canonical form
	// as AllowCIDRs. Default: none.
	DenyCIDRs []netip.Prefix

	// MaxConnAge is how long after it was dialed a connection takes requests, and so
	// how long a verdict on an address holds, and how long a name that has moved leads
	// to its former address. Each connection has a time of its own, of 3/4 to all of
	// it, so that they do not all end together. A request under way comes to its end, and
	// one that takes longer to connect has its connection for itself.
	// Default: 5 minutes.
	MaxConnAge time.Duration

	// Proxy is the proxy that all connections go through. The policy then judges
	// URLs, ports and IP literals as ever, but no more than that: the proxy
	// resolves the names and opens the connections, so that it is the proxy that
	// must keep names which lead to closed addresses from being reached. One named
	// in the environment is never used. Default: none.
	Proxy *Proxy

	// Resolver resolves host names. Its answers are judged at each dial like any
	// others, and tried as RFC 8305 says: the families in turn, the next address 250 ms
	// after the one before or as soon as that has failed. It must be nil with Proxy.
	// Default: Go's resolver, whose addresses net.Dialer tries.
	Resolver Resolver
}

func (c *Config) withDefaults() *Config {
	if c == nil {
		c = &Config{}
	}
	out := *c
	if out.MaxConnAge == 0 {
		out.MaxConnAge = 5 * time.Minute
	}
	out.AllowCIDRs = slices.Clone(c.AllowCIDRs)
	out.AllowPorts = slices.Clone(c.AllowPorts)
	out.DenyCIDRs = slices.Clone(c.DenyCIDRs)
	if c.Proxy != nil {
		proxy := *c.Proxy
		out.Proxy = &proxy
	}
	return &out
}

func (c *Config) validate() error {
	if err := validatePrefixes("AllowCIDRs", c.AllowCIDRs); err != nil {
		return err
	}
	for _, prefix := range c.AllowCIDRs {
		if prefix.IsSingleIP() && isMetadata(prefix.Addr()) {
			return fmt.Errorf("egress: Config.AllowCIDRs: %s is a cloud metadata address, which cannot be opened", prefix)
		}
	}
	if err := validatePrefixes("DenyCIDRs", c.DenyCIDRs); err != nil {
		return err
	}
	for _, port := range c.AllowPorts {
		if port < 1 || port > 65535 {
			return fmt.Errorf("egress: Config.AllowPorts: %d is not between 1 and 65535", port)
		}
	}
	if c.AnyPort && len(c.AllowPorts) > 0 {
		return errors.New("egress: Config.AllowPorts: must be empty when AnyPort is set")
	}
	if c.MaxConnAge < 0 {
		return errors.New("egress: Config.MaxConnAge: must not be negative")
	}
	if c.Proxy == nil {
		return nil
	}
	if err := c.Proxy.validate(); err != nil {
		return fmt.Errorf("egress: Config.Proxy.%w", err)
	}
	if c.Resolver != nil {
		return errors.New("egress: Config.Resolver: must be nil with Proxy, which resolves the names")
	}
	return nil
}

func validatePrefixes(field string, prefixes []netip.Prefix) error {
	for _, prefix := range prefixes {
		switch {
		case !prefix.IsValid():
			return fmt.Errorf("egress: Config.%s: invalid prefix", field)
		case prefix.Masked() != prefix:
			return fmt.Errorf("egress: Config.%s: %s has bits set behind its length; %s may be meant", field, prefix, prefix.Masked())
		case prefix.Addr().Is4In6():
			return fmt.Errorf("egress: Config.%s: %s is an IPv4-mapped prefix; write it as IPv4", field, prefix)
		}
	}
	return nil
}

// Policy decides where requests may go. Use one value for everything that
// sends, so that what is accepted at creation and what is dialled later are
// judged by the same rules. It is safe for concurrent use and never changes.
type Policy struct {
	cfg   *Config
	ports map[int]bool // nil: any
	own   *ownAddrs
}

// New makes a Policy; nil means the default. It returns an error that names the
// field of a bad value.
func New(cfg *Config) (*Policy, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Policy{
		cfg:   cfg,
		ports: allowedPorts(cfg),
		own:   newOwnAddrs(ownAddrsMaxAge),
	}, nil
}

func allowedPorts(cfg *Config) map[int]bool {
	if cfg.AnyPort {
		return nil
	}
	ports := map[int]bool{443: true, 8443: true}
	if cfg.AllowHTTP {
		ports[80] = true
	}
	for _, port := range cfg.AllowPorts {
		ports[port] = true
	}
	return ports
}

func (p *Policy) checkPort(port uint16) error {
	if p.ports == nil || p.ports[int(port)] {
		return nil
	}
	open := slices.Sorted(maps.Keys(p.ports))
	return &BlockedError{rule: rulePort, Reason: fmt.Sprintf("port %d is not open (open: %v)", port, open)}
}

// ownAddrsMaxAge bounds how long an address that the host has just taken on can
// still be dialled as if it were foreign.
const ownAddrsMaxAge = 10 * time.Second

// connAge is how long one connection takes requests; random is of [0,1).
func (p *Policy) connAge(random float64) time.Duration {
	least := p.cfg.MaxConnAge / 4 * 3
	return least + time.Duration(random*float64(p.cfg.MaxConnAge-least))
}
