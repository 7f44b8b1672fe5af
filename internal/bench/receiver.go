package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// receiver is the other side of every request: a process of its own, so that
// what it costs is not mistaken for the engine's.
type receiver struct {
	process *child
	client  *http.Client
}

func startReceiver(ctx context.Context) (*receiver, error) {
	process, err := startChild(ctx, "receiver")
	if err != nil {
		return nil, err
	}
	return &receiver{process: process, client: &http.Client{Transport: &http.Transport{}}}, nil
}

func (r *receiver) close() error {
	r.client.CloseIdleConnections()
	return r.process.close()
}

// url is where a mode of the receiver keeps the book of this name.
func (r *receiver) url(mode, name string) string {
	return "http://" + r.process.answer + "/" + mode + "/" + name
}

// slowURL keeps a log too, and answers after d.
func (r *receiver) slowURL(name string, d time.Duration) string {
	return r.url(pathLog, name) + "/" + d.String()
}

func (r *receiver) ask(ctx context.Context, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(pathControl, path), http.NoBody) //nolint:gosec // our own child
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req) //nolint:gosec // our own child
	if err != nil {
		return fmt.Errorf("ask the receiver: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing follows from it
	return json.NewDecoder(resp.Body).Decode(answer)
}

// count is how many requests the book of this name has.
func (r *receiver) count(ctx context.Context, name string) (int, error) {
	var p page
	err := r.ask(ctx, name, &p)
	return int(p.Count), err
}

// arrivals are the requests of a log, from the one of this index on.
func (r *receiver) arrivals(ctx context.Context, name string, from int) ([]arrival, error) {
	var p page
	err := r.ask(ctx, name+"?from="+strconv.Itoa(from), &p)
	return p.Arrivals, err
}

// time is the processor time that the receiver has used.
func (r *receiver) time(ctx context.Context) (time.Duration, error) {
	var d time.Duration
	err := r.ask(ctx, "", &d)
	return d, err
}

// waitFor waits until the book of this name has at least n requests. It looks
// rarely while much is missing, so that looking costs nothing.
func (r *receiver) waitFor(ctx context.Context, name string, n int) error {
	const (
		atLeast = 2 * time.Millisecond
		atMost  = 100 * time.Millisecond
	)
	began, first := time.Now(), -1
	for {
		have, err := r.count(ctx, name)
		if err != nil || have >= n {
			return err
		}
		if first < 0 {
			first = have
		}
		wait := atLeast
		if have > first {
			left := time.Duration(float64(time.Since(began)) * float64(n-have) / float64(have-first))
			wait = min(max(left/2, atLeast), atMost)
		}
		if err := pause(ctx, wait); err != nil {
			return fmt.Errorf("the receiver got %d of %d requests: %w", have, n, err)
		}
	}
}
