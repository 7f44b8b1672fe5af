package egress

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// Exchange is what a Client reports of the requests of a context, besides their
// answers and errors. It may be read when no request of the context is under way.
type Exchange struct {
	// Repeats counts how often a request was sent again because it was certainly
	// not processed.
	Repeats int

	// Unanswered is true if the last request failed after some of it was written
	// and before a byte of its answer was read: nobody knows whether it was
	// processed.
	Unanswered bool
}

type exchangeKey struct{}

type repeatKey struct{}

// AskBeforeRepeats returns a context whose requests are sent again only if may
// returns true. It is called right before each repeat, by the goroutine that makes
// the request.
func AskBeforeRepeats(ctx context.Context, may func() bool) context.Context {
	return context.WithValue(ctx, repeatKey{}, may)
}

func mayRepeat(ctx context.Context) bool {
	may, ok := ctx.Value(repeatKey{}).(func() bool)
	return !ok || may()
}

// WithExchange returns a context whose requests are reported in x. They must be
// made one after another.
func WithExchange(ctx context.Context, x *Exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

func exchangeOf(ctx context.Context) *Exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*Exchange); ok {
		return x
	}
	return &Exchange{}
}

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
}

type sendingKey struct{}

// watch returns the request with a context that reports to s.
func (s *sending) watch(req *http.Request) *http.Request {
	ctx := context.WithValue(req.Context(), sendingKey{}, s)
	return req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              s.gotConn,
		GotFirstResponseByte: func() { s.answered.Store(true) },
		WroteHeaders:         s.wroteHeaders,
	}))
}

// gotConn is called for HTTP/1.1 alone.
func (s *sending) gotConn(info httptrace.GotConnInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames, s.stream = nil, 0
	if s.line = lineOf(info.Conn); s.line != nil {
		s.writes = s.line.writes.Load()
	}
}

func (s *sending) gotFrames(f *frames) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line, s.frames, s.stream = nil, f, 0
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

// end says what is known of a request that has failed: whether it was certainly
// not processed, or else whether it may have been although nothing came back.
func (s *sending) end() (unprocessed, unanswered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	switch {
	case s.frames != nil && s.stream != 0:
		unprocessed = s.frames.forget(s.stream)
		unanswered = !unprocessed
	case s.frames != nil:
		unprocessed = s.frames.isOver()
	case s.line != nil && s.line.writes.Load() == s.writes:
		unprocessed = s.line.over.Load()
	case s.line != nil:
		unanswered = true
	}
	if s.answered.Load() {
		return false, false
	}
	return unprocessed, unanswered
}

func lineOf(conn any) *line {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	l, _ := conn.(*line)
	return l
}
