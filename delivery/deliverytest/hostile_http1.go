package deliverytest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/riverhook/riverhook/delivery"
)

const (
	// slowly is between two bytes: the headers or the body that an engine reads
	// would take minutes.
	slowly = 5 * time.Millisecond

	// moreSlowly is between two informational answers, whose sum is bounded as the
	// headers are.
	moreSlowly = 50 * time.Millisecond

	okHead = "HTTP/1.1 200 OK\r\n"
)

// bomb is 16 MiB of zeros, compressed a thousandfold.
var bomb = sync.OnceValue(func() string {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 16 {
		_, _ = writer.Write(zeros)
	}
	_ = writer.Close()
	return packed.String()
})

func hostileHTTP1() []HostileServer {
	server := func(name string, outcome delivery.Outcome, class string, converse func(c *hostileConn)) HostileServer {
		return HostileServer{
			Name:     name,
			Outcome:  outcome,
			Class:    class,
			converse: converse,
		}
	}
	return []HostileServer{
		server("silence", delivery.OutcomeTimeout, "timeout", (*hostileConn).linger),
		server("headers, byte by byte", delivery.OutcomeTimeout, "timeout", afterRequest(func(c *hostileConn) {
			c.send(okHead + "X-Slow: ")
			c.drip("x", slowly)
		})),
		server("informational answers, one by one", delivery.OutcomeTimeout, "timeout", afterRequest(func(c *hostileConn) {
			c.drip("HTTP/1.1 100 Continue\r\n\r\n", moreSlowly)
		})),
		server("informational answers without end", delivery.OutcomeFailed, "protocol", afterRequest(func(c *hostileConn) {
			c.flood("HTTP/1.1 103 Early Hints\r\nLink: <https://example.com/>\r\n\r\n")
		})),
		server("one huge header", delivery.OutcomeFailed, "protocol", afterRequest(func(c *hostileConn) {
			c.send(okHead + "X-Huge: ")
			c.flood("x")
		})),
		server("a thousand headers", delivery.OutcomeDelivered, "", answer(okHead+thousandHeaders()+"Content-Length: 0\r\n\r\n")),
		server("headers without end", delivery.OutcomeFailed, "protocol", afterRequest(func(c *hostileConn) {
			c.send(okHead)
			c.flood("X-Again: and again\r\n")
		})),
		server("garbage", delivery.OutcomeFailed, "protocol", answer("\x00\xff\x1b[2J not HTTP\r\n\r\n")),
		server("garbage without end", delivery.OutcomeFailed, "protocol", afterRequest(func(c *hostileConn) { c.flood("\xff\x00") })),
		server("a status out of range", delivery.OutcomeFailed, "protocol", answer("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n")),
		server("another protocol", delivery.OutcomeFailed, "protocol",
			answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")),

		server("a body, byte by byte", delivery.OutcomeTimeout, "body", afterRequest(func(c *hostileConn) {
			c.send(okHead + "\r\n")
			c.drip("x", slowly)
		})),
		server("a body without end", delivery.OutcomeDelivered, "", afterRequest(func(c *hostileConn) {
			c.send(okHead + "\r\n")
			c.flood("x")
		})),
		server("a body that inflates", delivery.OutcomeDelivered, "",
			answer(fmt.Sprintf("%sContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", okHead, len(bomb()), bomb()))),
		server("a body shorter than announced", delivery.OutcomeDelivered, "", afterRequest(func(c *hostileConn) {
			c.send(okHead + "Content-Length: 1000\r\n\r\nx")
			c.hangUp()
		})),
		server("a body longer than announced", delivery.OutcomeDelivered, "",
			answer(okHead+"Content-Length: 1\r\n\r\nxHTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")),
		server("two lengths of the body", delivery.OutcomeFailed, "protocol", answer(okHead+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")),
		server("a length that is no number", delivery.OutcomeFailed, "protocol", answer(okHead+"Content-Length: -1\r\n\r\n")),
		server("broken chunks", delivery.OutcomeDelivered, "",
			answer(okHead+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\nFFFFFFFFFFFFFFFFF\r\nx")),

		server("closed before the answer", delivery.OutcomeUnreachable, "closed", afterRequest((*hostileConn).hangUp)),
		server("closed within the headers", delivery.OutcomeUnreachable, "closed", afterRequest(func(c *hostileConn) {
			c.send(okHead + "X-Half: ")
			c.hangUp()
		})),
		server("connection reset", delivery.OutcomeUnreachable, "reset", afterRequest((*hostileConn).reset)),
		server("an answer before the request is read", delivery.OutcomeDelivered, "", func(c *hostileConn) {
			if _, err := c.in.ReadByte(); err == nil {
				c.send(okHead + "Content-Length: 0\r\nConnection: close\r\n\r\n")
				c.linger()
			}
		}),
	}
}

// afterRequest mistreats the client when its first request has been read.
func afterRequest(mistreat func(c *hostileConn)) func(c *hostileConn) {
	return func(c *hostileConn) {
		if c.request() {
			mistreat(c)
		}
	}
}

// answer sends a text to each request of a connection and lets the client judge it.
func answer(text string) func(c *hostileConn) {
	return func(c *hostileConn) {
		for c.request() && c.send(text) {
		}
	}
}

func thousandHeaders() string {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "X-H%d: %d\r\n", i, i)
	}
	return text.String()
}
