package egress_test

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/riverhook/riverhook/egress"
)

func Example() {
	policy, err := egress.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, url := range []string{
		"https://example.com/hook",
		"http://example.com/hook",
		"https://example.com:22/hook",
		"https://169.254.169.254/latest/meta-data/",
	} {
		fmt.Println(url, policy.CheckURL(url))
	}
	// Output:
	// https://example.com/hook <nil>
	// http://example.com/hook egress: blocked: the scheme must be https
	// https://example.com:22/hook egress: blocked: port 22 is not open (open: [443 8443])
	// https://169.254.169.254/latest/meta-data/ egress: blocked: 169.254.169.254 is not open: cloud metadata
}

// Receivers in a private network are opened by range. What the owner of a
// subscription is told says less than what the operator sees.
func ExampleConfig() {
	policy, err := egress.New(&egress.Config{
		AllowCIDRs: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.CheckURL("https://10.20.0.5/hook"))

	var blocked *egress.BlockedError
	if err := policy.CheckURL("https://10.21.0.5/hook"); errors.As(err, &blocked) {
		fmt.Println("operator:", blocked.Reason)
		fmt.Println("owner:", blocked.Owner())
	}
	// Output:
	// <nil>
	// operator: 10.21.0.5 is not open: private
	// owner: address not allowed
}
