package delivery

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/riverhook/riverhook/egress"
)

// checkURL is the check of a policy. Its error also says what to do about the URL of a
// receiver on this machine, which developers meet when they try Riverhook.
func checkURL(policy *egress.Policy) func(rawURL string) error {
	return func(rawURL string) error {
		err := policy.CheckURL(rawURL)
		if err != nil && isLocal(rawURL) {
			return fmt.Errorf("%w; for receivers on this machine, in development and in tests, set Config.Egress to deliverytest.LocalPolicy()", err)
		}
		return err
	}
}

func isLocal(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	addr, _ := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || addr.Unmap().IsLoopback()
}
