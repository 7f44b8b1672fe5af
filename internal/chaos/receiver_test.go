package chaos_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// arrival is one request of an event at a subscription.
type arrival struct {
	event    string // the wire id
	endpoint string // the key of the subscription, and the version of its URL
	at       time.Time
	accepted bool // it was answered 2xx
}

// receiver is the endpoint of all subscriptions. It counts what arrives, and answers
// badly now and then while there is trouble.
type receiver struct {
	server  *httptest.Server
	trouble atomic.Bool

	mu       sync.Mutex
	random   *rand.Rand
	arrivals []arrival
	gone     map[string]time.Time // the endpoints that have answered 410, and when first
	vetoed   map[string]bool      // the questions that a gate has vetoed
	asked    map[string]int       // how often a gate got a question
}

// eventID is in a header, or in the body, of each request about an event.
var eventID = regexp.MustCompile(`chaos-\d+-\d+`)

func newReceiver() *receiver {
	r := &receiver{
		random: random(1),
		gone:   map[string]time.Time{},
		vetoed: map[string]bool{},
		asked:  map[string]int{},
	}
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	return r
}

// url is that of a subscription, by its key, in a version.
func (r *receiver) url(key string, version int) string {
	return fmt.Sprintf("%s/s/%s", r.server.URL, endpoint(key, version))
}

func endpoint(key string, version int) string { return fmt.Sprintf("%s.%d", key, version) }

// steady is at the beginning of the keys of subscriptions that nobody changes.
const steady = "steady-"

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(req.Body)
	if err != nil { // the request was cut off
		return
	}
	kind, key, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	if kind == "gate" {
		r.serveGate(w, req)
		return
	}
	answer := r.choose(key)
	id := eventID.FindString(req.Header.Get("Webhook-Id") + " " + string(body))
	if id != "" { // operational events have other ids
		r.mu.Lock()
		r.arrivals = append(r.arrivals, arrival{id, key, at, answer.status >= 200 && answer.status < 300})
		r.mu.Unlock()
	}
	answer.write(w, req, body)
}

// serveGate vetoes every third question, and is as unreliable as the others.
func (r *receiver) serveGate(w http.ResponseWriter, req *http.Request) {
	id := req.Header.Get("Webhook-Id")
	answer := r.choose(steady)
	r.mu.Lock()
	r.asked[id]++
	veto := answer.status == http.StatusOK && r.random.IntN(3) == 0
	if veto {
		r.vetoed[id] = true
	}
	r.mu.Unlock()
	if veto {
		w.Header().Set("Content-Type", dialect.ContentTypeCancel)
		_, _ = w.Write([]byte(`{"reason": "because"}`))
		return
	}
	answer.write(w, req, nil)
}

// answer is what a request is answered with. A status of 0 is none.
type answer struct {
	status     int
	delay      time.Duration
	retryAfter string
	broken     string
}

func (r *receiver) choose(key string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := answer{status: http.StatusOK, delay: time.Duration(r.random.IntN(20)) * time.Millisecond}
	if !r.trouble.Load() {
		return ok
	}
	switch n := r.random.IntN(1000); {
	case n < 60:
		return answer{status: http.StatusInternalServerError}
	case n < 80:
		return answer{status: http.StatusTooManyRequests, retryAfter: "1"}
	case n < 90:
		return answer{status: http.StatusServiceUnavailable, retryAfter: "1"}
	case n < 110:
		return answer{broken: "hang"}
	case n < 130:
		return answer{broken: "close"}
	case n < 150:
		return answer{broken: "reset"}
	case n < 165:
		return answer{broken: "garbage"}
	case n < 180:
		return answer{status: http.StatusFound}
	case n < 182 && !strings.HasPrefix(key, steady):
		if _, known := r.gone[key]; !known {
			r.gone[key] = time.Now()
		}
		return answer{status: http.StatusGone}
	case n < 230:
		ok.delay = between(r.random, 100*time.Millisecond, 500*time.Millisecond)
	}
	return ok
}

func (a answer) write(w http.ResponseWriter, req *http.Request, body []byte) {
	select {
	case <-time.After(a.delay):
	case <-req.Context().Done():
	}
	switch a.broken {
	case "hang":
		<-req.Context().Done()
		panic(http.ErrAbortHandler)
	case "close":
		panic(http.ErrAbortHandler)
	case "reset", "garbage":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if tcp, ok := conn.(*net.TCPConn); ok && a.broken == "reset" {
			_ = tcp.SetLinger(0)
		} else {
			_, _ = conn.Write(append(body, "\r\n\r\n"...))
		}
		_ = conn.Close()
		return
	}
	if a.retryAfter != "" {
		w.Header().Set("Retry-After", a.retryAfter)
	}
	w.Header().Set("X-Echo", strings.ReplaceAll(string(body[:min(len(body), 1000)]), "\n", " "))
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// all returns the requests until now.
func (r *receiver) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.arrivals...)
}

func (r *receiver) close(context.Context) {
	r.server.CloseClientConnections()
	r.server.Close()
}
