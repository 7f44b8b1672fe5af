package egress

import (
	"crypto/tls"
	"encoding/binary"
	"math"
	"sync"
	"time"
)

// The frames of HTTP/2 that say what became of a request (RFC 9113, section 6), and
// the error codes that matter (section 7).
const (
	frameHeader  = 9
	frameHeaders = 0x1
	frameReset   = 0x3
	frameGoAway  = 0x7

	codeProtocol = 0x1
	codeRefused  = 0x7

	preface = 24 // of the client, ahead of its frames
)

// closeLimit bounds the farewell of TLS to a peer that reads nothing.
const closeLimit = 250 * time.Millisecond

// frames is a connection of HTTP/2, above TLS, that knows which of its requests the
// server has not processed: those of streams that it refused (RFC 9113, section
// 8.7), and of streams above the last one that it names as it goes away (6.8).
type frames struct {
	*tls.Conn

	mu      sync.Mutex
	in, out frameReader
	newest  uint32          // stream that headers were written for
	open    map[uint32]bool // streams of requests under way: true if refused
	last    uint32          // of those that the server may process
	over    bool            // it takes no more requests
}

func newFrames(conn *tls.Conn) *frames {
	return &frames{
		Conn: conn,
		out:  frameReader{skip: preface},
		open: map[uint32]bool{},
		last: math.MaxUint32,
	}
}

func (f *frames) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in.read(p[:n], f.received)
	f.over = f.over || err != nil
	return n, err
}

// Write looks at frames before they leave, so that it knows a stream before its
// answer comes.
func (f *frames) Write(p []byte) (int, error) {
	f.mu.Lock()
	f.out.read(p, f.sent)
	f.mu.Unlock()
	n, err := f.Conn.Write(p)
	if err != nil {
		f.mu.Lock()
		f.over = true
		f.mu.Unlock()
	}
	return n, err
}

func (f *frames) Close() error {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	late := time.AfterFunc(closeLimit, func() { _ = f.NetConn().Close() })
	defer late.Stop()
	return f.Conn.Close()
}

func (f *frames) sent(kind byte, stream uint32, _ []byte) {
	if kind == frameHeaders {
		f.newest, f.open[stream] = stream, false
	}
}

func (f *frames) received(kind byte, stream uint32, payload []byte) {
	switch {
	case len(payload) < 4:
	case kind == frameGoAway:
		f.last, f.over = min(f.last, binary.BigEndian.Uint32(payload)&math.MaxInt32), true
	case kind == frameReset:
		switch binary.BigEndian.Uint32(payload) {
		case codeRefused:
			if _, ok := f.open[stream]; ok {
				f.open[stream] = true
			}
		case codeProtocol:
			f.over = true // net/http makes no more use of it
		}
	}
}

func (f *frames) newestStream() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest
}

// forget ends what is known of a stream, and returns whether its request was
// certainly not processed.
func (f *frames) forget(stream uint32) (unprocessed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	unprocessed = f.open[stream] || stream > f.last
	delete(f.open, stream)
	return unprocessed
}

func (f *frames) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// frameReader cuts what is written or read into frames, and shows of each the first
// four bytes of its payload.
type frameReader struct {
	skip    int // bytes ahead of the next frame
	head    [frameHeader]byte
	read9   int // of head
	left    int // of the payload
	payload [4]byte
	shown   int // of payload
}

func (r *frameReader) read(p []byte, frame func(kind byte, stream uint32, payload []byte)) {
	for len(p) > 0 {
		switch {
		case r.skip > 0:
			n := min(r.skip, len(p))
			r.skip -= n
			p = p[n:]
			continue
		case r.read9 < frameHeader:
			n := copy(r.head[r.read9:], p)
			r.read9 += n
			p = p[n:]
			if r.read9 < frameHeader {
				return
			}
			r.left, r.shown = int(r.head[0])<<16|int(r.head[1])<<8|int(r.head[2]), 0
		}
		n := min(r.left, len(p))
		r.shown += copy(r.payload[r.shown:], p[:n])
		r.left -= n
		p = p[n:]
		if r.left == 0 {
			r.read9 = 0
			frame(r.head[3], binary.BigEndian.Uint32(r.head[5:])&math.MaxInt32, r.payload[:r.shown])
		}
	}
}
