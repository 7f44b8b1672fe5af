package deliverytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	floodBlock = 32 << 10
	floodBytes = 64 << 20
)

// hostileConn is a connection to a client that is mistreated. What it returns is
// false as soon as the client has left or the server is closed.
type hostileConn struct {
	net.Conn

	in     *bufio.Reader
	closed <-chan struct{}
}

// request reads a request of HTTP/1.1 with its body.
func (c *hostileConn) request() bool {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

func (c *hostileConn) send(text string) bool {
	_, err := io.WriteString(c.Conn, text)
	return err == nil
}

// flood sends a text again and again, as fast as it is read: more of it than any
// client should take, but not so much that what is left of a connection keeps a
// processor busy for the rest of a test.
func (c *hostileConn) flood(text string) {
	block := strings.Repeat(text, max(1, floodBlock/len(text)))
	for sent := 0; sent < floodBytes && c.send(block); sent += len(block) {
	}
	c.linger()
}

// drip sends a text again and again, and waits each time.
func (c *hostileConn) drip(text string, each time.Duration) {
	for c.send(text) && c.pause(each) {
	}
}

func (c *hostileConn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.closed:
		return false
	}
}

// linger reads, and says nothing, until the client leaves: a connection that is
// closed with something unread is reset, which is another misbehaviour.
func (c *hostileConn) linger() { _, _ = io.Copy(io.Discard, c.in) }

// hangUp ends what the server says and waits until the client leaves.
func (c *hostileConn) hangUp() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	c.linger()
}

// reset breaks the connection by a TCP reset.
func (c *hostileConn) reset() {
	raw := c.Conn
	if secure, ok := raw.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closing with nothing to linger for sends RST instead of FIN
	}
	_ = raw.Close()
}
