//go:build !unix || solaris || illumos || aix

package egress

import "net"

// hasUnread is not known here: what net/http has read by then decides.
func hasUnread(net.Conn) bool { return false }

func awaitUnread(net.Conn) bool { return false }
