package egress

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// sending is what is known of a request that is sent once. Its connection's
// goroutines report to it, also after the request has ended.
type sending struct {
	answered atomic.Bool // at least one byte

	mu     sync.Mutex
	line   *line // HTTP/1.1: its connection, nil before it has one
	writes int64 // what was written on it before
	frames *frames
	stream uint32 // of frames; 0 before its headers are written
	ended  bool
	over   chan struct{} // closed when what was answered has been looked at
}

type sendingKey struct{}

// watch returns the request with a context that reports to s.
func (s *sending) watch(req *http.Request) *http.Request {
	ctx := context.WithValue(req.Context(), sendingKey{}, s)
	return req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              s.gotConn,
		GotFirstResponseByte: func() { s.answered.Store(true) },
		PutIdleConn:          s.putIdleConn,
		WroteHeaders:         s.wroteHeaders,
	}))
}

// gotConn is called for HTTP/1.1 alone.
func (s *sending) gotConn(info httptrace.GotConnInfo) {
	l := lineOf(info.Conn)
	if l != nil {
		l.take(s, info.WasIdle)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames, s.stream = nil, 0
	if s.line = l; l != nil {
		s.writes = l.writes.Load()
	}
}

// putIdleConn is called by what reads from the connection, before it reads on.
func (s *sending) putIdleConn(err error) {
	s.mu.Lock()
	l := s.line
	s.mu.Unlock()
	if l != nil && err == nil {
		l.leave(s)
	}
}

func (s *sending) gotFrames(f *frames) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = nil
	s.frames = f
	s.stream = 0
}

// wroteHeaders is called, over HTTP/2, before the headers of another request are
// written on the same connection.
func (s *sending) wroteHeaders() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames == nil {
		return
	}
	s.stream = s.frames.newestStream()
	if s.ended {
		s.frames.forget(s.stream)
	}
}

// looked says what became of a request whose answer is resp, or which has failed if
// that is nil. It tells whether the request was certainly not processed, or else
// whether it may have been although nothing came back, and whether its connection
// was one that takes no more requests.
func (s *sending) looked(resp *http.Response) (unprocessed, unanswered, refused bool) {
	defer close(s.over)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.line == nil && resp != nil {
		if s.frames != nil && s.stream != 0 {
			s.frames.forget(s.stream)
		}
		return false, false, false
	}
	if s.line != nil {
		return s.lookedAtLine(resp)
	}
	switch {
	case s.frames != nil && s.stream != 0:
		unprocessed = s.frames.forget(s.stream)
		unanswered = !unprocessed
	case s.frames != nil:
		unprocessed = s.frames.isOver()
	}
	if s.answered.Load() {
		return false, false, false
	}
	return unprocessed, unanswered, false
}

func (s *sending) lookedAtLine(resp *http.Response) (unprocessed, unanswered, refused bool) {
	refused = s.line.isRetired()
	if resp == nil && s.line.over.Load() || resp != nil && s.line.writes.Load() == s.writes {
		s.line.shut.Store(true)
	}
	switch {
	case s.line.shut.Load() && s.line.writes.Load() == s.writes: // what was answered was something else
		s.line.retire()
		return true, false, refused
	case resp == nil:
		return false, s.line.writes.Load() != s.writes && !s.answered.Load(), false
	case announcesMore(resp):
		s.line.retire()
	}
	return false, false, false
}

// announcesMore is true of an answer that has no content (RFC 9110, section 15.3.5) and
// announces some: that may come, behind all that net/http reads of the answer.
func announcesMore(resp *http.Response) bool {
	length := resp.Header.Get("Content-Length")
	return resp.StatusCode == http.StatusNoContent && (length != "" && length != "0" || len(resp.TransferEncoding) > 0)
}

func lineOf(conn any) *line {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	l, _ := conn.(*line)
	return l
}
