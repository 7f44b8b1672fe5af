package deliverytest

import (
	"encoding/binary"
	"io"
)

// What is needed of HTTP/2's frames (RFC 9113) and of HPACK (RFC 7541) to break
// their rules, which a server that keeps them cannot be made to do.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoAway       = 7
	frameContinuation = 9

	flagEndStream  = 1
	flagEndHeaders = 4

	errNone     = 0
	errInternal = 2
	errRefused  = 7
	errCancel   = 8
	errCalm     = 11

	clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	maxFrame = 16 << 10 // what each peer takes unless it says otherwise
)

// frames is a connection of HTTP/2.
type frames struct{ *hostileConn }

// begin reads the client's preface and sends the server's: no settings.
func (f *frames) begin() bool {
	preface := make([]byte, len(clientPreface))
	_, err := io.ReadFull(f.in, preface)
	return err == nil && string(preface) == clientPreface && f.frame(frameSettings, 0, 0, nil)
}

// stream reads frames until a request has been read, and returns its stream.
func (f *frames) stream() (id uint32, ok bool) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(f.in, head[:]); err != nil {
			return 0, false
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := f.in.Discard(length); err != nil {
			return 0, false
		}
		kind, flags := head[3], head[4]
		if (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0 {
			return binary.BigEndian.Uint32(head[5:]), true
		}
	}
}

func (f *frames) frame(kind, flags byte, stream uint32, payload []byte) bool {
	return f.send(packed(kind, flags, stream, payload))
}

// packed is a frame as it is on the wire.
func packed(kind, flags byte, stream uint32, payload []byte) string {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	return string(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func errorCode(code uint32) []byte { return number(code) }

// status is the field ":status", whose name is number 8 of HPACK's static table.
func status(code string) []byte { return append([]byte{8}, literal(code)...) }

// field is one that is not to be remembered.
func field(name, value string) []byte {
	return append(append([]byte{0}, literal(name)...), literal(value)...)
}

// literal is a string behind its length, an integer with a prefix of seven bits.
func literal(s string) []byte {
	const prefix = 127
	n := len(s)
	if n < prefix {
		return append([]byte{byte(n)}, s...)
	}
	length := []byte{prefix}
	for n -= prefix; n >= 128; n >>= 7 {
		length = append(length, byte(n)|128)
	}
	return append(append(length, byte(n)), s...)
}
