package egress

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckURL_TakesURLsThatMayBeSentTo(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for _, raw := range []string{
		"HTTPS://EXAMPLE.COM/",
		"https://8.8.8.8/hook",
		"https://[2606:4700::1111]:443/hook",
		"https://[::ffff:8.8.8.8]/",
		"https://a_b.example.com/",
		"https://example.com",
		"https://example.com./hook",
		"https://example.com/hook?token=s3cret&x=%20",
		"https://example.com:8443/hook",
		"https://intranet/hook",
		"https://xn--bcher-kva.example/",
		"https://1.example/",
	} {
		require.NoError(t, policy.CheckURL(raw), raw)
	}
}

func TestCheckURL_RefusesTheOthersByARule(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for raw, rule := range map[string]rule{
		"":                                               ruleScheme,
		"/hook":                                          ruleScheme,
		"//example.com/":                                 ruleScheme,
		"example.com/hook":                               ruleScheme,
		"file:///etc/passwd":                             ruleScheme,
		"ftp://example.com/":                             ruleScheme,
		"gopher://example.com/":                          ruleScheme,
		"http://example.com/":                            ruleScheme,
		"httpsx://example.com/":                          ruleScheme,
		"unix:///var/run/docker.sock":                    ruleScheme,
		"https:example.com":                              ruleSyntax,
		"https://":                                       ruleHost,
		"https:///hook":                                  ruleHost,
		"https://:443/":                                  ruleHost,
		"https://user@example.com/":                      ruleUserinfo,
		"https://user:pw@example.com/":                   ruleUserinfo,
		"https://@example.com/":                          ruleUserinfo,
		"https://example.com/#":                          ruleFragment,
		"https://example.com/#frag":                      ruleFragment,
		"https://example.com:/":                          rulePort,
		"https://example.com:0/":                         rulePort,
		"https://example.com:22/":                        rulePort,
		"https://example.com:80/":                        rulePort,
		"https://example.com:65536/":                     rulePort,
		"https://example.com:443443443/":                 rulePort,
		"https://example.com:x/":                         ruleSyntax,
		"https://example.com\\@evil.test/":               ruleSyntax,
		"https://exa mple.com/":                          ruleSyntax,
		"https://example.com/a b":                        ruleSyntax,
		"https://example.com/\r\nX-Evil:1":               ruleSyntax,
		"https://example.com/\x00":                       ruleSyntax,
		"https://example.com/\u202etxt":                  ruleSyntax,
		"https://example.com/\xff":                       ruleSyntax,
		"https://example.com/%zz":                        ruleSyntax,
		"https://" + strings.Repeat("a", 2048) + ".com/": ruleSyntax,
		"https://bücher.example/":                        ruleHost,
		"https://ex%41mple.com/":                         ruleSyntax,
		"https://exa%6Dple.com/":                         ruleSyntax,
		"https://a..b/":                                  ruleHost,
		"https://.example.com/":                          ruleHost,
		"https://example.com../":                         ruleHost,
		"https://-a.example/":                            ruleHost,
		"https://a-.example/":                            ruleHost,
		"https://a*b.example/":                           ruleHost,
		"https://" + strings.Repeat("a", 64) + ".com/":   ruleHost,
		"https://" + strings.Repeat("a.", 127) + "com/":  ruleHost,
		"https://2130706433/":                            ruleHost,
		"https://0x7f000001/":                            ruleHost,
		"https://0x7f.1/":                                ruleHost,
		"https://127.1/":                                 ruleHost,
		"https://0177.0.0.1/":                            ruleHost,
		"https://127.0.0.1.5/":                           ruleHost,
		"https://8.8.8.8./":                              ruleHost,
		"https://0x/":                                    ruleHost,
		"https://[fe80::1%25eth0]/":                      ruleHost,
		"https://[example.com]/":                         ruleSyntax,
		"https://[::1/":                                  ruleSyntax,
		"https://127.0.0.1/":                             ruleAddress,
		"https://10.0.0.1:8443/":                         ruleAddress,
		"https://169.254.169.254/latest/meta-data/":      ruleAddress,
		"https://[::1]/":                                 ruleAddress,
		"https://[::ffff:127.0.0.1]/":                    ruleAddress,
		"https://[64:ff9b::7f00:1]/":                     ruleAddress,
		"https://localhost/":                             ruleAddress,
		"https://LOCALHOST./":                            ruleAddress,
		"https://api.localhost/":                         ruleAddress,
	} {
		err := policy.CheckURL(raw)
		var blocked *BlockedError
		require.ErrorAs(t, err, &blocked, "%q", raw)
		require.ErrorIs(t, err, ErrBlocked)
		require.Equal(t, rule, blocked.rule, "%q: %v", raw, err)
	}
}

func TestCheckURL_ARefusalNeverQuotesWhatAURLMayHide(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, nil)

	for _, raw := range []string{
		"https://user:s3cret@example.com/", "https://example.com/s3cret?s3cret#s3cret", "https://10.0.0.1/s3cret?t=s3cret",
		"https://example.com/%zz?s3cret", "http://example.com/?s3cret", "s3cret://example.com", "https://example.com:22/s3cret",
	} {
		err := policy.CheckURL(raw)
		require.ErrorIs(t, err, ErrBlocked, raw)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

func TestCheckURL_HTTPIsOpenedByItsOwnAllowance(t *testing.T) {
	t.Parallel()
	policy := newPolicy(t, &Config{AllowHTTP: true})

	require.NoError(t, policy.CheckURL("http://example.com/"))
	require.NoError(t, policy.CheckURL("http://example.com:80/"))
	require.NoError(t, policy.CheckURL("https://example.com/"))
	requireBlocked(t, policy.CheckURL("http://127.0.0.1/"), ruleAddress, "loopback")
}

func TestCheckURL_PortsAreOpenedOneByOneOrAll(t *testing.T) {
	t.Parallel()

	some := newPolicy(t, &Config{AllowPorts: []int{9000}})
	require.NoError(t, some.CheckURL("https://example.com:9000/"))
	require.NoError(t, some.CheckURL("https://example.com/"))
	requireBlocked(t, some.CheckURL("https://example.com:9001/"), rulePort, "port 9001 is not open (open: [443 8443 9000])")

	require.NoError(t, newPolicy(t, &Config{AnyPort: true}).CheckURL("https://example.com:1/"))
}

func TestCheckURL_LocalhostIsOpenWhereLoopbackIs(t *testing.T) {
	t.Parallel()

	for _, prefix := range []string{"127.0.0.0/8", "::1/128"} {
		policy := newPolicy(t, &Config{AllowCIDRs: []netip.Prefix{netip.MustParsePrefix(prefix)}})
		require.NoError(t, policy.CheckURL("https://localhost/"), prefix)
	}
}

func FuzzCheckURL_AcceptsOnlyWhatItsParserReadsTheSameWay(f *testing.F) {
	for _, seed := range []string{
		"https://example.com/hook?x=1", "https://user@example.com", "https://[::1]:443/", "https://127.1/", "https://a\\@b/",
		"https://localhost", "https://example.com:8443", "https://xn--bcher-kva.example/%2f", "//x", "https://0x7f.1",
	} {
		f.Add(seed)
	}
	policy, err := New(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if policy.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, "https", u.Scheme)
		require.Nil(t, u.User)
		require.NotEmpty(t, u.Hostname())
		require.NotContains(t, raw, "#")
		require.Contains(t, []string{"", "443", "8443"}, u.Port())
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
			require.NoError(t, policy.checkAddr(addr, nil))
		}
		again, err := url.Parse(u.String())
		require.NoError(t, err)
		require.NoError(t, policy.CheckURL(again.String()))
		require.Equal(t, u.Host, again.Host)
	})
}
