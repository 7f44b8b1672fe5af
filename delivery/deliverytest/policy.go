package deliverytest

import (
	"net/netip"

	"github.com/riverhook/riverhook/egress"
)

// LocalPolicy is an egress policy that lets requests through to receivers on
// this machine: http and https, any port, loopback addresses and, as always,
// public ones. Not for production.
func LocalPolicy() *egress.Policy {
	policy, err := egress.New(LocalEgress())
	if err != nil {
		panic(err) // the values below are constant and valid
	}
	return policy
}

// LocalEgress is the configuration of LocalPolicy, to build upon.
func LocalEgress() *egress.Config {
	return &egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowHTTP:  true,
		AnyPort:    true,
	}
}
