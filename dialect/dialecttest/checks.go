package dialecttest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

func checkName(c Case) error {
	name := c.Dialect.Name()
	if again := c.Dialect.Name(); again != name {
		return fmt.Errorf("Name is %q and then %q", name, again)
	}
	_, err := dialect.NewRegistry(c.Dialect)
	return err
}

func checkEnvelope(c Case) error {
	ev, payload := event(), data()
	first, err := c.Dialect.Envelope(ev, payload)
	if err != nil {
		return fmt.Errorf("Envelope: %w", err)
	}
	if !reflect.DeepEqual(ev, event()) || !bytes.Equal(payload, data()) {
		return errors.New("Envelope modified its input")
	}
	if first.ID != ev.ID || first.Type != ev.Type || !first.OccurredAt.Equal(ev.OccurredAt) {
		return fmt.Errorf("the message is not that of the event: id %q, type %q, time %s", first.ID, first.Type, first.OccurredAt)
	}
	return always(first, func() (dialect.Message, error) { return c.Dialect.Envelope(event(), data()) })
}

func checkRequest(c Case) error {
	msg, err := c.Dialect.Envelope(event(), data())
	if err != nil {
		return fmt.Errorf("Envelope: %w", err)
	}
	before, to := stored(msg), destination(c.Secrets...)
	first, err := c.Dialect.Request(msg, to, attempt())
	if err != nil {
		return fmt.Errorf("Request: %w", err)
	}
	if !reflect.DeepEqual(msg, before) || !reflect.DeepEqual(to, destination(c.Secrets...)) {
		return errors.New("Request modified its input")
	}
	if !bytes.Equal(first.Body, msg.Body) {
		return errors.New("the body of the request is not that of the message")
	}
	if first.Method == "" || first.URL != to.URL {
		return fmt.Errorf("the request is %q %q, want a method and %q", first.Method, first.URL, to.URL)
	}
	snapshot := dialect.Request{
		Method: first.Method,
		URL:    first.URL,
		Header: first.Header.Clone(),
		Body:   slices.Clone(first.Body),
	}
	if err := always(snapshot, func() (dialect.Request, error) {
		return c.Dialect.Request(msg, destination(c.Secrets...), attempt())
	}); err != nil {
		return err
	}
	first.Header.Set("X-Dialecttest", "changed by the caller")
	return always(snapshot, func() (dialect.Request, error) {
		return c.Dialect.Request(msg, destination(c.Secrets...), attempt())
	})
}

// always calls again, also from many goroutines at once, and compares.
func always[T any](want T, call func() (T, error)) error {
	const callers = 8
	failures := make([]error, callers)
	var wg sync.WaitGroup
	for i := range failures {
		wg.Go(func() {
			got, err := call()
			if err == nil && !reflect.DeepEqual(got, want) {
				err = fmt.Errorf("the same input gave another %T: got %+v, want %+v", want, got, want)
			}
			failures[i] = err
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

// stored is a message as it comes back from the database.
func stored(msg dialect.Message) dialect.Message {
	return dialect.Message{
		ID:          msg.ID,
		Type:        msg.Type,
		ContentType: msg.ContentType,
		Headers:     maps.Clone(msg.Headers),
		Body:        slices.Clone(msg.Body),
		OccurredAt:  msg.OccurredAt,
	}
}

func checkStored(c Case) error {
	made, err := c.Dialect.Envelope(event(), data())
	if err != nil {
		return fmt.Errorf("Envelope: %w", err)
	}
	msg := stored(made)
	for i := range 3 {
		at := dialect.Attempt{Number: i + 1, At: attempt().At.Add(time.Duration(i) * time.Hour)}
		req, err := c.Dialect.Request(msg, destination(c.Secrets...), at)
		if err != nil {
			return fmt.Errorf("attempt %d: %w", at.Number, err)
		}
		if !bytes.Equal(req.Body, made.Body) {
			return fmt.Errorf("attempt %d: another body", at.Number)
		}
		if c.Verifier == nil {
			continue
		}
		if err := c.Verifier.Verify(req.Header, req.Body, c.Secrets[:1], at.At); err != nil {
			return fmt.Errorf("attempt %d does not verify: %w", at.Number, err)
		}
	}
	return nil
}

func checkHeaders(c Case) error {
	plain, err := build(c, destination(c.Secrets[0]))
	if err != nil {
		return err
	}
	if plain.Header.Get("X-Dialecttest") != "yes" {
		return errors.New("a header of the destination is not in the request")
	}
	to := destination(c.Secrets[0])
	for name := range plain.Header {
		if !strings.EqualFold(name, "X-Dialecttest") {
			to.Headers[name] = "overridden"
			to.Headers[strings.ToLower(name)] = "overridden"
		}
	}
	got, err := build(c, to)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got.Header, plain.Header) {
		return fmt.Errorf("the destination's headers replaced the dialect's: got %v, want %v", got.Header, plain.Header)
	}
	return nil
}

func checkSmuggling(c Case) error {
	for name, value := range map[string]string{
		"X-Dialecttest": "yes\r\nX-Smuggled: 1", "X-Dialecttest\r\nX-Smuggled": "1", "X-Smuggled": "a\nb", "X Smuggled": "1", "": "1",
	} {
		to := destination(c.Secrets[0])
		to.Headers = map[string]string{name: value}
		req, err := build(c, to)
		if err != nil {
			continue
		}
		for sent, values := range req.Header {
			if sent == "" || strings.ContainsAny(sent+strings.Join(values, ""), "\r\n") || strings.Contains(sent, " ") {
				return fmt.Errorf("the header %q: %q of a destination went into the request", name, value)
			}
		}
	}
	return nil
}

func checkLeak(c Case) error {
	req, err := build(c, destination(c.Secrets...))
	if err != nil {
		return err
	}
	parts := []string{req.URL, string(req.Body)}
	for name, values := range req.Header {
		parts = append(append(parts, name), values...)
	}
	all := strings.Join(parts, "\n")
	for i, secret := range c.Secrets {
		if strings.Contains(all, secret.Reveal()) || strings.Contains(all, string(secret.Key())) {
			return fmt.Errorf("secret %d is in the request", i+1)
		}
	}
	return nil
}

// In a bubble of synctest the clock stands at the start of the year 2000.
func checkClock(t *testing.T, c Case) error {
	t.Helper()
	want, err := build(c, destination(c.Secrets...))
	if err != nil {
		return err
	}
	var got dialect.Request
	synctest.Test(t, func(*testing.T) { got, err = build(c, destination(c.Secrets...)) })
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("at another time the same input gave another request: got %+v, want %+v", got, want)
	}
	return nil
}

func withHeader(h http.Header, name string, value ...string) http.Header {
	out := h.Clone()
	for key := range out {
		if strings.EqualFold(key, name) {
			delete(out, key)
		}
	}
	if len(value) > 0 {
		out.Set(name, value[0])
	}
	return out
}
