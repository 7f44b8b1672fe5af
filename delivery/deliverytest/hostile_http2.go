package deliverytest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/riverhook/riverhook/delivery"
)

func hostileHTTP2() []HostileServer {
	server := func(name string, outcome delivery.Outcome, class string, converse func(c *frames)) HostileServer {
		return HostileServer{
			Name:    "HTTP/2: " + name,
			Outcome: outcome,
			Class:   class,
			HTTP2:   true,
			converse: func(c *hostileConn) {
				if f := (&frames{hostileConn: c}); f.begin() {
					converse(f)
				}
			},
		}
	}
	handler := func(name string, outcome delivery.Outcome, class string, handle http.HandlerFunc) HostileServer {
		return HostileServer{
			Name:    "HTTP/2: " + name,
			Outcome: outcome,
			Class:   class,
			HTTP2:   true,
			handle:  handle,
		}
	}
	return []HostileServer{
		server("silence", delivery.OutcomeTimeout, "timeout", func(c *frames) { c.linger() }),
		server("a stream reset", delivery.OutcomeUnreachable, "reset", onStreams(func(c *frames, id uint32) {
			c.frame(frameReset, 0, id, errorCode(errInternal))
		})),
		server("a stream refused", delivery.OutcomeUnreachable, "reset", onStreams(func(c *frames, id uint32) {
			c.frame(frameReset, 0, id, errorCode(errRefused))
		})),
		server("rapid resets", delivery.OutcomeUnreachable, "reset", onStreams(func(c *frames, id uint32) {
			for range 1000 {
				c.frame(frameReset, 0, id, errorCode(errCancel))
			}
		})),
		server("going away", delivery.OutcomeUnreachable, "closed", onStreams(func(c *frames, _ uint32) {
			c.frame(frameGoAway, 0, 0, slices.Concat(number(0), errorCode(errNone)))
		})),
		server("going away in anger", delivery.OutcomeUnreachable, "closed", onStreams(func(c *frames, _ uint32) {
			c.frame(frameGoAway, 0, 0, slices.Concat(number(0), errorCode(errCalm), []byte("calm down")))
		})),
		server("connection closed", delivery.OutcomeUnreachable, "closed", func(c *frames) {
			c.stream()
			c.hangUp()
		}),
		server("garbage", delivery.OutcomeFailed, "protocol", onStreams(func(c *frames, _ uint32) {
			c.send(strings.Repeat("\xff", 1<<10))
		})),
		server("informational answers without end", delivery.OutcomeFailed, "protocol", onStreams(func(c *frames, id uint32) {
			early := slices.Concat(status("103"), field("link", "<https://example.com/>"))
			// A megabyte will do: the client gives up the stream and keeps the connection,
			// on which the next is to be mistreated as well.
			answers := packed(frameHeaders, flagEndHeaders, id, early)
			c.send(strings.Repeat(answers, (1<<20)/len(answers)))
		})),
		server("headers without end", delivery.OutcomeFailed, "protocol", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, 0, id, status("200"))
			c.flood(packed(frameContinuation, 0, id, field("x-again", strings.Repeat("x", 100))))
		})),
		server("one huge header", delivery.OutcomeFailed, "protocol", onStreams(func(c *frames, id uint32) {
			huge := slices.Concat(status("200"), field("x-huge", strings.Repeat("x", 1<<20)))
			c.frame(frameHeaders, flagEndStream, id, huge[:maxFrame])
			for huge = huge[maxFrame:]; len(huge) > maxFrame; huge = huge[maxFrame:] {
				c.frame(frameContinuation, 0, id, huge[:maxFrame])
			}
			c.frame(frameContinuation, flagEndHeaders, id, huge)
		})),
		server("a body beyond the window", delivery.OutcomeDelivered, "", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			c.flood(packed(frameData, 0, id, make([]byte, maxFrame)))
		})),
		server("a stream reset within the body", delivery.OutcomeDelivered, "", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			c.frame(frameData, 0, id, []byte("x"))
			c.frame(frameReset, 0, id, errorCode(errInternal))
		})),
		server("a stream reset behind the headers", delivery.OutcomeDelivered, "", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			c.frame(frameReset, 0, id, errorCode(errCancel))
		})),
		server("rapid resets behind the headers", delivery.OutcomeDelivered, "", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			for range 1000 {
				c.frame(frameReset, 0, id, errorCode(errCancel))
			}
		})),
		server("going away within the body", delivery.OutcomeDelivered, "", onStreams(func(c *frames, id uint32) {
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			c.frame(frameData, 0, id, []byte("x"))
			c.frame(frameGoAway, 0, 0, slices.Concat(number(0), errorCode(errInternal)))
		})),
		server("connection closed within the body", delivery.OutcomeDelivered, "", func(c *frames) {
			id, _ := c.stream()
			c.frame(frameHeaders, flagEndHeaders, id, status("200"))
			c.frame(frameData, 0, id, []byte("x"))
			c.hangUp()
		}),
		server("streams of its own", delivery.OutcomeFailed, "protocol", onStreams(func(c *frames, id uint32) {
			c.frame(framePush, flagEndHeaders, id, slices.Concat(number(2), status("200")))
		})),
		server("settings without end", delivery.OutcomeTimeout, "timeout", func(c *frames) {
			c.flood(packed(frameSettings, 0, 0, nil))
		}),
		server("pings without end", delivery.OutcomeTimeout, "timeout", func(c *frames) {
			c.flood(packed(framePing, 0, 0, make([]byte, 8)))
		}),
		handler("a body, byte by byte", delivery.OutcomeTimeout, "body", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			drip(w, r, &Answer{Body: []byte("x"), Drip: slowly})
		}),
		handler("a body without end", delivery.OutcomeDelivered, "", func(w http.ResponseWriter, _ *http.Request) {
			block := make([]byte, 32<<10)
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}),
		handler("a body that inflates", delivery.OutcomeDelivered, "", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte(bomb()))
		}),
	}
}

// onStreams mistreats each stream of a connection when its request has been read.
func onStreams(mistreat func(c *frames, id uint32)) func(c *frames) {
	return func(c *frames) {
		for {
			id, ok := c.stream()
			if !ok {
				return
			}
			mistreat(c, id)
		}
	}
}
