package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// The codes of RFC 1928 and RFC 1929.
const (
	socksVersion     = 5
	socksNoAuth      = 0
	socksPassword    = 2
	socksPasswordV1  = 1
	socksConnect     = 1
	socksIPv4        = 1
	socksName        = 3
	socksIPv6        = 4
	socksSucceeded   = 0
	socksNotAllowed  = 2
	socksNetwork     = 3
	socksHost        = 4
	socksRefused     = 5
	socksTTL         = 6
	maxSocksHostName = 255
)

// socks opens a tunnel by SOCKS5 (RFC 1928).
func (p Proxy) socks(conn net.Conn, target string) error {
	request, err := socksRequest(target)
	if err != nil {
		return err
	}
	if err := p.socksGreet(conn); err != nil {
		return err
	}
	if _, err := conn.Write(request); err != nil {
		return proxyFailed("broke off", err)
	}
	reply, err := socksReply(conn)
	if err != nil {
		return err
	}
	switch reply {
	case socksSucceeded:
		return nil
	case socksNotAllowed:
		return refusedByProxy("SOCKS reply 2")
	case socksRefused:
		return unreachedTarget(syscall.ECONNREFUSED)
	case socksNetwork, socksHost, socksTTL:
		return unreachedTarget(fmt.Errorf("SOCKS reply %d", reply))
	default:
		return proxyFailed(fmt.Sprintf("SOCKS reply %d", reply), nil)
	}
}

// socksGreet settles how the proxy is told who we are.
func (p Proxy) socksGreet(conn net.Conn) error {
	greeting := []byte{socksVersion, 1, socksNoAuth}
	if p.Username != "" {
		greeting = []byte{socksVersion, 2, socksNoAuth, socksPassword}
	}
	if _, err := conn.Write(greeting); err != nil {
		return proxyFailed("broke off", err)
	}
	answer := make([]byte, 2)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return proxyFailed("broke off", err)
	}
	switch {
	case answer[0] != socksVersion:
		return proxyFailed("does not speak SOCKS5", nil)
	case answer[1] == socksNoAuth:
		return nil
	case answer[1] != socksPassword || p.Username == "":
		return proxyFailed("asks for credentials that are not configured", nil)
	}
	login := appendSocksText(appendSocksText([]byte{socksPasswordV1}, p.Username), p.Password)
	if _, err := conn.Write(login); err != nil {
		return proxyFailed("broke off", err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		return proxyFailed("broke off", err)
	}
	if answer[1] != 0 {
		return proxyFailed("does not accept the credentials", nil)
	}
	return nil
}

func socksRequest(target string) ([]byte, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	request := []byte{socksVersion, socksConnect, 0}
	switch addr, err := netip.ParseAddr(host); {
	case err == nil && addr.Unmap().Is4():
		request = append(append(request, socksIPv4), addr.Unmap().AsSlice()...)
	case err == nil:
		request = append(append(request, socksIPv6), addr.AsSlice()...)
	case len(host) > maxSocksHostName:
		return nil, errors.New("the host is longer than 255 bytes")
	default:
		request = appendSocksText(append(request, socksName), host)
	}
	return binary.BigEndian.AppendUint16(request, uint16(number)), nil
}

// appendSocksText writes a text of at most 255 bytes, which callers have seen to,
// behind its length.
func appendSocksText(to []byte, text string) []byte {
	return append(append(to, byte(len(text))), text...) //nolint:gosec // at most 255
}

// socksReply reads the answer to a request, with the address in it, which is of no
// use.
func socksReply(conn net.Conn) (byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return 0, unanswered(err)
	}
	rest := 0 // of the address, behind its first byte, and the port
	switch head[3] {
	case socksIPv4:
		rest = 4 - 1 + 2
	case socksIPv6:
		rest = 16 - 1 + 2
	case socksName:
		rest = int(head[4]) + 2
	}
	if head[0] != socksVersion || rest == 0 {
		return 0, proxyFailed("does not speak SOCKS5", nil)
	}
	if _, err := io.ReadFull(conn, make([]byte, rest)); err != nil {
		return 0, unanswered(err)
	}
	return head[1], nil
}
