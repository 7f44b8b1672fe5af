package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
)

const github = hierarchy.Path("/github")

// payloads is what became of a file of payloads.
type payloads struct {
	Sent       int `json:"sent"`       // committed
	Delivered  int `json:"delivered"`  // of those, how many arrived with a good signature
	Bytes      int `json:"bytes"`      // of the payloads that arrived
	Mismatched int `json:"mismatched"` // arrived with another byte than was enqueued
	Duplicated int `json:"duplicated"` // arrived more than once
}

// playSamples sends each sample in a transaction of its own, and compares what
// arrives with what was enqueued.
func playSamples(ctx context.Context, w *world, samples []sample, show *console, result *report) error {
	// A budget that grows with the work: what hangs must not hang for ever.
	ctx, cancel := context.WithTimeout(ctx, actTime+time.Duration(len(samples))*20*time.Millisecond)
	defer cancel()
	if err := w.subscribe(ctx, role{
		name:     archive,
		site:     github,
		events:   []string{"**"},
		operator: true,
	}); err != nil {
		return err
	}
	m := w.member(archive)

	begun := time.Now()
	sent := make(map[string]sample, len(samples))
	for _, s := range samples {
		id, err := w.send(ctx, s)
		if err != nil {
			return fmt.Errorf("line %d: %w", s.line, err)
		}
		sent[id] = s
	}
	_, waitErr := m.receiver.Wait(ctx, len(samples))
	if waitErr == nil {
		waitErr = w.settled(ctx, m)
	}
	if waitErr != nil {
		result.Problemf("payloads: %v", waitErr)
	}
	result.Payloads = count(sent, m)
	result.checkPayloads(m)
	show.payloads(result.Payloads, time.Since(begun))
	return nil
}

func (w *world) send(ctx context.Context, s sample) (id string, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		res, err := w.people.Events.Enqueue(ctx, tx, outbox.Intent{
			Type:     s.eventType,
			Site:     github,
			Resource: access.Resource{Kind: "payload", ID: strconv.Itoa(s.line)},
			Data:     s.payload,
		})
		id = res.ID
		return err
	})
	return id, err
}

// count compares what has arrived with what was sent.
func count(sent map[string]sample, m *member) *payloads {
	p := &payloads{Sent: len(sent)}
	arrived := map[string]int{}
	mismatched := map[string]bool{}
	for _, r := range m.receiver.Requests() {
		s, ours := sent[r.ID()]
		if r.Err != nil || !ours {
			continue
		}
		arrived[r.ID()]++
		if arrived[r.ID()] == 1 {
			p.Delivered++
			p.Bytes += len(s.payload)
		}
		var body struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil || !bytes.Equal(body.Data, s.payload) {
			mismatched[r.ID()] = true
		}
	}
	p.Mismatched = len(mismatched)
	for _, times := range arrived {
		if times > 1 {
			p.Duplicated++
		}
	}
	return p
}

func (r *report) checkPayloads(m *member) {
	p := r.Payloads
	r.Expectf(p.Delivered == p.Sent, "payloads: %d of %d arrived", p.Delivered, p.Sent)
	r.Expectf(p.Mismatched == 0, "payloads: %d arrived other than they were enqueued", p.Mismatched)
	r.Expectf(p.Duplicated == 0, "payloads: %d arrived more than once", p.Duplicated)
	r.Expectf(m.receiver.Err() == nil, "payloads: %v", m.receiver.Err())
}
