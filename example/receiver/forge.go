package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/receiver"
)

func (s *story) forge(ctx context.Context) error {
	other, err := newSecret()
	if err != nil {
		return err
	}
	otherToken, _ := receiver.NewToken()
	ev := dialect.Event{
		ID:           "forged",
		Type:         "user.created",
		Site:         string(oun),
		ResourceKind: "user",
		ResourceID:   "eve",
		OccurredAt:   time.Now(),
	}
	for _, d := range s.dialects {
		msg, err := d.Envelope(ev, []byte(`{"id":"eve"}`))
		if err != nil {
			return err
		}
		to := dialect.Destination{URL: s.url(d, otherToken), Secrets: []dialect.Secret{other}}
		made, err := d.Request(msg, to, dialect.Attempt{Number: 1, At: time.Now()})
		if err != nil {
			return err
		}
		status, err := post(ctx, made)
		if err != nil {
			return err
		}
		refused := status == http.StatusUnauthorized || status == http.StatusNotFound
		s.result.Expectf(refused, "%s: a forged request was answered %d", d.Name(), status)
	}
	return nil
}

func post(ctx context.Context, made dialect.Request) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, made.Method, made.URL, bytes.NewReader(made.Body))
	if err != nil {
		return 0, err
	}
	req.Header = made.Header
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func newSecret() (dialect.Secret, error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	return dialect.NewSecret(key[:])
}
