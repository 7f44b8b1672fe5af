// Package http2test has a server of HTTP/2 that answers request by request, frame by
// frame, as a test says: also what a server that keeps the rules cannot be made to.
package http2test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Server is a server on loopback. It keeps what it was sent.
type Server struct {
	URL   string
	Roots *x509.CertPool // who signs its certificate

	listener net.Listener
	settings []http2.Setting

	mu       sync.Mutex
	script   []Act
	requests []Request
	conns    map[net.Conn]bool
	opened   int
}

// Request is one that was read to its end.
type Request struct {
	Body   string
	Conn   int                 // connections are numbered from 1
	Header map[string][]string // in lower case, pseudo-headers such as ":path" too
	Stream uint32
}

// Act is what the server does when it has read a request.
type Act func(c *Conn, r Request)

// Start starts a server that treats each request as the next of the acts says, and
// answers those behind the last one with 204. It ends with the test.
func Start(tb testing.TB, script ...Act) *Server {
	tb.Helper()
	return StartWith(tb, nil, script...)
}

// StartWith is Start for a server that announces settings.
func StartWith(tb testing.TB, settings []http2.Setting, script ...Act) *Server {
	tb.Helper()
	signed := httptest.NewTLSServer(nil)
	signed.Close()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("http2test: %v", err)
	}
	s := &Server{
		URL:      "https://" + listener.Addr().String(),
		Roots:    x509.NewCertPool(),
		settings: settings,
		script:   script,
		conns:    map[net.Conn]bool{},
	}
	s.listener = tls.NewListener(listener, &tls.Config{
		Certificates: signed.TLS.Certificates,
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{http2.NextProtoTLS},
	})
	s.Roots.AddCert(signed.Certificate())
	var running sync.WaitGroup
	running.Go(func() { s.accept(&running) })
	tb.Cleanup(func() {
		_ = listener.Close()
		s.closeAll()
		running.Wait()
	})
	return s
}

// Requests returns those that were read so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Open returns how many connections are open.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) accept(running *sync.WaitGroup) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.opened++
		s.conns[conn] = true
		c := &Conn{
			Number: s.opened,
			conn:   conn,
			server: s,
		}
		s.mu.Unlock()
		running.Go(func() {
			c.serve()
			_ = conn.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.conns, conn)
		})
	}
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// next keeps a request, and returns what is to be done with it.
func (s *Server) next(r Request) Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	if len(s.script) == 0 {
		return Answer(http.StatusNoContent)
	}
	act := s.script[0]
	s.script = s.script[1:]
	return act
}

// Conn is a connection of the server.
type Conn struct {
	*http2.Framer

	Number int

	conn   net.Conn
	server *Server
	header bytes.Buffer
}

func (c *Conn) serve() {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	c.Framer = http2.NewFramer(c.conn, c.conn)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if c.WriteSettings(c.server.settings...) != nil {
		return
	}
	under := map[uint32]*Request{}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			r := &Request{
				Conn:   c.Number,
				Header: map[string][]string{},
				Stream: f.StreamID,
			}
			for _, field := range f.Fields {
				r.Header[field.Name] = append(r.Header[field.Name], field.Value)
			}
			under[f.StreamID] = r
			if f.StreamEnded() {
				c.server.next(*r)(c, *r)
			}
		case *http2.DataFrame:
			r := under[f.StreamID]
			if r == nil {
				continue
			}
			if r.Body += string(f.Data()); f.StreamEnded() {
				delete(under, f.StreamID)
				c.server.next(*r)(c, *r)
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = c.WritePing(true, f.Data)
			}
		}
	}
}

// Answer answers with a status and no body.
func Answer(status int) Act { return Reply(status, nil, "") }

// Reply answers with a status, headers and a body.
func Reply(status int, header map[string]string, body string) Act {
	return func(c *Conn, r Request) {
		c.answer(r.Stream, status, header, body == "")
		if body != "" {
			_ = c.WriteData(r.Stream, true, []byte(body))
		}
	}
}

func (c *Conn) answer(stream uint32, status int, header map[string]string, end bool) {
	c.header.Reset()
	encoder := hpack.NewEncoder(&c.header)
	_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: strconv.Itoa(status)})
	for name, value := range header {
		_ = encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(name), Value: value})
	}
	_ = c.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      stream,
		BlockFragment: c.header.Bytes(),
		EndHeaders:    true,
		EndStream:     end,
	})
}

// Reset ends the request's stream with an error code.
func Reset(code http2.ErrCode) Act {
	return func(c *Conn, r Request) { _ = c.WriteRSTStream(r.Stream, code) }
}

// GoAway announces the end of the connection: of its requests, those above the
// stream last will not be processed.
func GoAway(last uint32, code http2.ErrCode) Act {
	return func(c *Conn, _ Request) { _ = c.WriteGoAway(last, code, nil) }
}

// Inform answers with 103 and goes on.
func Inform(c *Conn, r Request) { c.answer(r.Stream, http.StatusEarlyHints, nil, false) }

// Close closes the connection.
func Close(c *Conn, _ Request) { _ = c.conn.Close() }

// All does one after the other.
func All(acts ...Act) Act {
	return func(c *Conn, r Request) {
		for _, act := range acts {
			act(c, r)
		}
	}
}
