package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/subscription"
)

// endpoint is a receiver of webhooks.
type endpoint struct {
	*deliverytest.Receiver

	down   atomic.Bool
	echoes atomic.Bool // it expects webhooks
}

// startEndpoint starts one that expects webhooks.
func startEndpoint() (*endpoint, error) {
	e := &endpoint{}
	e.echoes.Store(true)
	var err error
	e.Receiver, err = deliverytest.StartReceiver(&deliverytest.ReceiverConfig{Answer: e.answer})
	return e, err
}

func (e *endpoint) answer(r deliverytest.Request) deliverytest.Answer {
	switch {
	case e.down.Load():
		return deliverytest.Answer{Status: http.StatusInternalServerError}
	case r.Method == http.MethodGet && e.echoes.Load():
		return deliverytest.Answer{Body: []byte(`{"echo": "` + echoOf(r) + `"}`)}
	case r.Method == http.MethodGet:
		return deliverytest.Answer{Status: http.StatusNotFound}
	default:
		return deliverytest.Answer{}
	}
}

// echoOf is what a challenge asks to be sent back.
func echoOf(r deliverytest.Request) string {
	_, query, _ := strings.Cut(r.Path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	return values.Get("echo")
}

// posts are the requests that are no challenges.
func (e *endpoint) posts() (posts []deliverytest.Request) {
	for _, r := range e.Requests() {
		if r.Method == http.MethodPost {
			posts = append(posts, r)
		}
	}
	return posts
}

func (e *endpoint) challenges() int { return len(e.Requests()) - len(e.posts()) }

// signedBy says whether a request is signed as PyWebhooks signs.
func signedBy(secret subscription.Secret, r deliverytest.Request) bool {
	return dialect.PyWebhooksVerifier().Verify(r.Header, r.Body, []dialect.Secret{secret}, r.At) == nil
}
