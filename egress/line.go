package egress

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line is a connection, below TLS, that knows whether anything was written on it:
// over HTTP/1.1 it carries one request at a time.
//
// It takes no request after a time, nor after something has come back that belongs to
// no request: what an endpoint sends after an answer would be read as the next one.
type line struct {
	net.Conn

	until time.Time // it takes requests

	writes  atomic.Int64
	over    atomic.Bool // nothing can be read or written any more
	closing atomic.Bool
	idle    atomic.Bool // between two requests: until the first byte of the next is written
	shut    atomic.Bool // nothing more is written

	mu      sync.Mutex
	user    *sending // the request that has it, or had it last
	retired bool     // it is closed after the request that has it
	aging   *time.Timer
}

// errShut is the error of a write that was refused; nothing was written.
var errShut = errors.New("egress: the connection takes no more requests")

// take gives the connection to a request, after the end of the one before: what that
// one was answered can be the reason why the connection takes no more. One that was made
// for the request takes it however long that took: the next would not be made sooner.
func (l *line) take(s *sending, kept bool) {
	l.mu.Lock()
	before := l.user
	l.mu.Unlock()
	if before != nil && before != s {
		<-before.over
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.user = s
	l.idle.Store(before != nil)
	left := time.Until(l.until)
	switch {
	case l.retired, left <= 0 && (kept || before != nil):
		l.retired = true
		l.hangUp()
	case l.aging == nil: // over HTTP/2 it is never taken, and its age is that of its http2Conn
		l.aging = time.AfterFunc(left, l.retire)
	}
}

// leave is called when the request has its answer and nothing more is expected.
func (l *line) leave(s *sending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.user != s { // the next one has it already
		return
	}
	l.idle.Store(true)
	if l.retired {
		l.hangUp()
	}
}

// retire lets the connection take no more requests. A request that has it comes to its
// end first.
func (l *line) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = true
	if l.idle.Load() {
		l.hangUp()
	}
}

func (l *line) isRetired() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retired
}

// hangUp closes the connection, on which nothing is under way.
func (l *line) hangUp() {
	l.shut.Store(true)
	l.over.Store(true)
	go l.Close() //nolint:errcheck // with a proxy it can wait for the peer, and nothing follows from it
}

// Read takes nothing from an idle connection before it has said so: write then sees
// what has come, or what was said.
func (l *line) Read(p []byte) (int, error) {
	if l.idle.Load() && awaitUnread(l.Conn) {
		l.came()
	}
	n, err := l.Conn.Read(p)
	if err != nil {
		l.over.Store(true)
	}
	if n > 0 && l.idle.Load() {
		l.came()
	}
	return n, err
}

// came is called when something has come on a connection that may be idle.
func (l *line) came() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle.Load() {
		l.retired = true
		l.hangUp()
	}
}

// begin ends the time between two requests, unless something has come in it.
func (l *line) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.idle.Load() && hasUnread(l.Conn) {
		l.retired = true
		l.hangUp()
	}
	l.idle.Store(false)
}

// Write counts before it looks and writes, so that who looks in between sees too much.
func (l *line) Write(p []byte) (int, error) {
	if l.closing.Load() {
		return l.Conn.Write(p)
	}
	if l.idle.Load() {
		l.begin()
	}
	l.writes.Add(1)
	if l.shut.Load() {
		l.writes.Add(-1)
		return 0, errShut
	}
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
	l.mu.Lock()
	if l.aging != nil {
		l.aging.Stop()
	}
	l.mu.Unlock()
	return l.Conn.Close()
}
