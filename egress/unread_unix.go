//go:build unix && !solaris && !illumos && !aix

package egress

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// hasUnread says whether something has come on a connection that nobody has read yet,
// its end included. It does not wait, and takes nothing away.
func hasUnread(conn net.Conn) bool {
	if secured, ok := conn.(*tls.Conn); ok { // to a proxy
		conn = secured.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	unread := false
	err = raw.Control(func(fd uintptr) { unread = peek(fd) })
	return err == nil && unread
}

// awaitUnread waits until there is something to be read. It returns false where it
// cannot, or something else has ended the wait.
func awaitUnread(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	return err == nil && raw.Read(peek) == nil
}

func peek(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EAGAIN)
		}
	}
}
