package egress

import (
	"errors"
	"io"
)

// body is that of an answer over HTTP/2. If it is closed before its end, the rest may
// keep coming, and other requests of the connection would wait behind it: the connection
// is not used again, as net/http does over HTTP/1.
type body struct {
	io.ReadCloser

	unread func() // called once the body was closed before its end
	ended  bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	if !b.ended {
		b.ended = true
		b.unread()
	}
	return err
}
