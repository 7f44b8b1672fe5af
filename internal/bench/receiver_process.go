package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The paths of the receiver. NAME is a book, which is made when it is first
// written to:
//
//	/count/NAME        answers at once and counts
//	/log/NAME          keeps webhook-id and time of arrival too
//	/log/NAME/20ms     and answers after a while
//	/hang/NAME         accepts, counts and never answers
//	/control/NAME      a page of the book, from ?from=
//	/control           the processor time of the receiver
const (
	pathCount   = "count"
	pathLog     = "log"
	pathHang    = "hang"
	pathControl = "control"
)

// arrival is a request that reached the receiver.
type arrival struct {
	ID string `json:"i"`
	At int64  `json:"t"` // Unix nanoseconds
}

// page is what the receiver tells of a book.
type page struct {
	Count    int64     `json:"count"`
	Arrivals []arrival `json:"arrivals"`
}

type book struct {
	count atomic.Int64

	mu       sync.Mutex
	arrivals []arrival
}

// library is the receiver as an HTTP handler.
type library struct {
	books sync.Map // of *book, by name
}

func (l *library) book(name string) *book {
	if b, ok := l.books.Load(name); ok {
		return b.(*book) //nolint:forcetypeassert // the map has no others
	}
	b, _ := l.books.LoadOrStore(name, &book{})
	return b.(*book) //nolint:forcetypeassert // the map has no others
}

// ServeHTTP implements http.Handler.
func (l *library) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	arrived := time.Now()
	mode, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	name, delay, _ := strings.Cut(rest, "/")
	if mode == pathControl {
		l.control(w, name, r.URL.Query().Get("from"))
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	b := l.book(name)
	if mode == pathLog {
		b.mu.Lock()
		b.arrivals = append(b.arrivals, arrival{r.Header.Get("Webhook-Id"), arrived.UnixNano()})
		b.mu.Unlock()
	}
	b.count.Add(1)
	switch {
	case mode == pathHang:
		<-r.Context().Done()
	case delay != "":
		d, err := time.ParseDuration(delay)
		if err == nil {
			err = pause(r.Context(), d)
		}
		if err != nil {
			return
		}
	}
	w.WriteHeader(http.StatusOK)
}

func (l *library) control(w http.ResponseWriter, name, from string) {
	var answer any = ownTime()
	if name != "" {
		b := l.book(name)
		b.mu.Lock()
		n, err := strconv.Atoi(from)
		if err != nil || n > len(b.arrivals) {
			n = len(b.arrivals)
		}
		answer = page{Count: b.count.Load(), Arrivals: b.arrivals[n:len(b.arrivals):len(b.arrivals)]}
		b.mu.Unlock()
	}
	_ = json.NewEncoder(w).Encode(answer) //nolint:errchkjson // an error means that who asked has gone
}

// serveReceiver is the child that is the receiver.
func serveReceiver(ctx context.Context, in *bufio.Reader, ready func(answer string)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &library{}, ReadHeaderTimeout: time.Minute}
	ready(listener.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	err = errors.Join(untilEnd(in), server.Close())
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
