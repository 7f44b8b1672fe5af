package delivery

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// checkURL is the policy's, and says what to do about the URL of a receiver on this
// machine: who meets that is most often one who tries Riverhook out.
func (e *Engine) checkURL(rawURL string) error {
	err := e.cfg.Egress.CheckURL(rawURL)
	if err != nil && isLocal(rawURL) {
		return fmt.Errorf("%w; for receivers on this machine, in development and in tests, set Config.Egress to deliverytest.LocalPolicy()", err)
	}
	return err
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
