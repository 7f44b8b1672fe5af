package deliverytest

import (
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// Answer is how a Receiver answers one request. The zero value is 204 without a
// body, at once.
type Answer struct {
	// Body is sent after the headers. Default: none.
	Body []byte

	// Close closes the connection without an answer. Default: false.
	Close bool

	// Delay is waited before anything is sent; it ends early when the client
	// leaves or the receiver closes. Default: 0.
	Delay time.Duration

	// Drip is the time between the bytes of Body, each sent by itself; with it,
	// Body is repeated until the client leaves: an answer that never ends.
	// Default: 0, Body at once.
	Drip time.Duration

	// Hang sends nothing until the client leaves or the receiver closes.
	// Default: false.
	Hang bool

	// Header is sent beside what net/http sets. Default: none.
	Header http.Header

	// Raw is written to the connection as it is, instead of an HTTP answer, and
	// the connection closed: garbage on the wire. Over HTTP/2 the stream is reset
	// instead. Default: none.
	Raw []byte

	// Reset breaks the connection by a TCP reset. Default: false.
	Reset bool

	// Status is the status. Default: 200 with Body, Drip or Truncate, 204 without.
	Status int

	// Truncate announces one byte more than Body has, then resets the
	// connection. Default: false.
	Truncate bool
}

// Veto is the answer of a gate that says no to a question.
func Veto(reason string) Answer {
	body, _ := json.Marshal(map[string]string{"reason": reason}) //nolint:errchkjson // a text always encodes
	return Answer{
		Status: http.StatusOK,
		Header: http.Header{"Content-Type": {dialect.ContentTypeCancel}},
		Body:   body,
	}
}

func (r *Receiver) answer(w http.ResponseWriter, req *http.Request, a *Answer) {
	if a.Delay > 0 && !pause(req, a.Delay) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case a.Hang:
		<-req.Context().Done()
		panic(http.ErrAbortHandler)
	case a.Close:
		panic(http.ErrAbortHandler)
	case a.Reset:
		cut(w, nil)
	case a.Raw != nil:
		hijack(w, func(conn net.Conn) { _, _ = conn.Write(a.Raw) })
	default:
		write(w, req, a)
	}
}

func write(w http.ResponseWriter, req *http.Request, a *Answer) {
	maps.Copy(w.Header(), a.Header)
	if a.Truncate {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)+1))
	}
	w.WriteHeader(a.status())
	if a.Drip > 0 {
		drip(w, req, a)
		return
	}
	_, _ = w.Write(a.Body)
	if a.Truncate {
		cut(w, http.NewResponseController(w).Flush)
	}
}

func (a *Answer) status() int {
	switch {
	case a.Status != 0:
		return a.Status
	case len(a.Body) > 0 || a.Drip > 0 || a.Truncate:
		return http.StatusOK
	default:
		return http.StatusNoContent
	}
}

// drip ends with the request, never by itself.
func drip(w http.ResponseWriter, req *http.Request, a *Answer) {
	control := http.NewResponseController(w)
	for i := 0; ; i++ {
		if len(a.Body) > 0 {
			_, _ = w.Write(a.Body[i%len(a.Body):][:1])
		}
		if control.Flush() != nil || !pause(req, a.Drip) {
			panic(http.ErrAbortHandler)
		}
	}
}

// pause waits; false says that the client left or the receiver closed.
func pause(req *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
		return false
	}
}

// cut breaks the connection by a reset, after flush.
func cut(w http.ResponseWriter, flush func() error) {
	if flush != nil {
		_ = flush()
	}
	hijack(w, func(conn net.Conn) {
		raw := conn
		if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
			raw = secure.NetConn()
		}
		if tcp, ok := raw.(*net.TCPConn); ok {
			// Closing with nothing to linger for sends RST instead of FIN.
			_ = tcp.SetLinger(0)
		}
		_ = raw.Close()
	})
}

func hijack(w http.ResponseWriter, use func(net.Conn)) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: resets the stream
	}
	use(conn)
	_ = conn.Close()
}
