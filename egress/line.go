package egress

import (
	"net"
	"sync/atomic"
	"time"
)

// line is a connection, below TLS, that knows whether anything was written on it:
// over HTTP/1.1 it carries one request at a time.
type line struct {
	net.Conn

	writes  atomic.Int64
	over    atomic.Bool // nothing can be read or written any more
	closing atomic.Bool
}

func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil {
		l.over.Store(true)
	}
	return n, err
}

// Write counts before it writes, so that who looks in between sees too much.
func (l *line) Write(p []byte) (int, error) {
	if l.closing.Load() {
		return l.Conn.Write(p)
	}
	l.writes.Add(1)
	n, err := l.Conn.Write(p)
	if err != nil {
		l.over.Store(true)
		if n == 0 {
			l.writes.Add(-1)
		}
	}
	return n, err
}

// SetWriteDeadline is called by crypto/tls right before the alert that ends a
// connection, which is not part of a request, and by nobody else over HTTP/1.1.
func (l *line) SetWriteDeadline(t time.Time) error {
	l.closing.Store(true)
	return l.Conn.SetWriteDeadline(t)
}

func (l *line) Close() error {
	l.over.Store(true)
	return l.Conn.Close()
}
