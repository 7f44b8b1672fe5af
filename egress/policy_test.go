package egress

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestConfig_ABadOneIsAnErrorThatNamesItsField(t *testing.T) {
	t.Parallel()
	prefixes := func(prefix netip.Prefix) []netip.Prefix { return []netip.Prefix{prefix} }
	uncanonical := netip.PrefixFrom(netip.MustParseAddr("10.1.2.3"), 8)

	for name, tc := range map[string]struct {
		cfg   *Config
		wants string
	}{
		"bits behind the length":  {&Config{AllowCIDRs: prefixes(uncanonical)}, "Config.AllowCIDRs: 10.1.2.3/8"},
		"denied bits":             {&Config{DenyCIDRs: prefixes(uncanonical)}, "Config.DenyCIDRs: 10.1.2.3/8"},
		"mapped prefix":           {&Config{AllowCIDRs: prefixes(netip.MustParsePrefix("::ffff:10.0.0.0/104"))}, "write it as IPv4"},
		"metadata address":        {&Config{AllowCIDRs: prefixes(netip.MustParsePrefix("169.254.169.254/32"))}, "metadata"},
		"negative port":           {&Config{AllowPorts: []int{-1}}, "Config.AllowPorts: -1"},
		"port beyond the last":    {&Config{AllowPorts: []int{65536}}, "Config.AllowPorts: 65536"},
		"port zero":               {&Config{AllowPorts: []int{0}}, "Config.AllowPorts: 0"},
		"ports beside every port": {&Config{AllowPorts: []int{81}, AnyPort: true}, "Config.AllowPorts"},
		"zero prefix":             {&Config{AllowCIDRs: prefixes(netip.Prefix{})}, "Config.AllowCIDRs: invalid"},
	} {
		_, err := New(tc.cfg)
		require.ErrorContains(t, err, tc.wants, name)
	}
}

func TestTransportConfig_ABadOneIsAnErrorThatNamesItsField(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for field, cfg := range map[string]*TransportConfig{
		"ConnectTimeout":         {ConnectTimeout: -time.Second},
		"IdleTimeout":            {IdleTimeout: -1},
		"MaxConnsPerHost":        {MaxConnsPerHost: -1},
		"MaxIdleConns":           {MaxIdleConns: -1},
		"MaxIdleConnsPerHost":    {MaxIdleConnsPerHost: -1},
		"MaxResponseHeaderBytes": {MaxResponseHeaderBytes: -1},
		"TLSHandshakeTimeout":    {TLSHandshakeTimeout: -1},
	} {
		_, err := policy.Transport(cfg)
		require.ErrorContains(t, err, "TransportConfig."+field)
		_, err = policy.Client(cfg)
		require.ErrorContains(t, err, "TransportConfig."+field)
	}
}

func TestPolicy_KeepsNothingOfItsConfiguration(t *testing.T) {
	t.Parallel()
	cfg := &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, AllowPorts: []int{81}}
	policy := newPolicy(t, cfg)

	cfg.AllowCIDRs[0] = netip.MustParsePrefix("127.0.0.0/8")
	cfg.AllowHTTP = true
	require.NoError(t, policy.checkAddr(netip.MustParseAddr("10.0.0.1"), nil))
	require.ErrorIs(t, policy.checkAddr(netip.MustParseAddr("127.0.0.1"), nil), ErrBlocked)
	require.ErrorIs(t, policy.CheckURL("http://example.com/"), ErrBlocked)
}

func TestBlockedError_AnOwnerLearnsNoAddressAndAnOperatorDoes(t *testing.T) {
	t.Parallel()

	var blocked *BlockedError
	require.ErrorAs(t, newPolicy(t, nil).checkAddr(netip.MustParseAddr("10.1.2.3"), nil), &blocked)
	require.Equal(t, "address not allowed", blocked.Owner())
	require.Equal(t, "egress: blocked: 10.1.2.3 is not open: private", blocked.Error())

	require.ErrorAs(t, newPolicy(t, nil).CheckURL("http://example.com/"), &blocked)
	require.Equal(t, "the scheme must be https", blocked.Owner())
}
