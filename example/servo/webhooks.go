package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/manifest"
	"github.com/riverhook/riverhook/receiver"
)

const (
	budget    = "budget"
	onCall    = "on-call"
	dashboard = "dashboard"
	planner   = "planner"

	affordable = 6 // replicas
)

//go:embed webhooks.yaml
var webhooks string

// listen starts the receiver of each webhook. They verify X-Servo-Signature.
func (s *story) listen() (err error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // it never fails
	if s.secret, err = dialect.NewSecret(raw[:]); err != nil {
		return err
	}
	for name, answer := range map[string]func(deliverytest.Request) deliverytest.Answer{
		budget:    s.judge,
		onCall:    nil,
		dashboard: nil,
		planner:   plan,
	} {
		r, err := deliverytest.StartReceiver(&deliverytest.ReceiverConfig{
			Answer:   answer,
			Secrets:  []dialect.Secret{s.secret},
			Verifier: dialect.ServoVerifier(),
		})
		if err != nil {
			return err
		}
		s.receivers[name] = r
	}
	return nil
}

func (s *story) close() {
	for _, r := range s.receivers {
		r.Close()
	}
}

// judge is what the budget gate says: no to what is too expensive.
func (s *story) judge(r deliverytest.Request) deliverytest.Answer {
	if s.budgetHangs.Load() {
		return deliverytest.Answer{Hang: true}
	}
	var asked struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(r.Body, &asked); err != nil || len(asked.Results) != 1 {
		return deliverytest.Answer{Status: http.StatusBadRequest}
	}
	if wanted := asked.Results[0].Value.Replicas; wanted > affordable {
		no := receiver.Cancel(fmt.Sprintf("%d replicas are beyond the budget of %d", wanted, affordable))
		return deliverytest.Answer{
			Status: no.Status,
			Header: http.Header{"Content-Type": {"application/vnd.opsani.servo.errors.CancelEventError+json"}},
			Body:   no.Body,
		}
	}
	return deliverytest.Answer{}
}

// plan is what the planner answers: its answer is for a channel.
func plan(deliverytest.Request) deliverytest.Answer {
	return deliverytest.Answer{
		Status: http.StatusOK,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   []byte(`{"next":"measure"}`),
	}
}

// configure brings the database to what the file says, and returns what that was.
func (s *story) configure(ctx context.Context) (*manifest.Plan, error) {
	text := webhooks
	for name, r := range s.receivers { // which are on this machine
		text = strings.ReplaceAll(text, "https://"+name+".example", r.URL())
	}
	file, err := manifest.Parse("webhooks.yaml", []byte(text), &manifest.ParseOpts{
		Env: func(name string) (string, bool) { return s.secret.Reveal(), name == "SERVO_SECRET" },
	})
	if err != nil {
		return nil, err
	}
	applier, err := manifest.New(s.optimizer.pool, &manifest.Config{Subscriptions: s.optimizer.engine.Subscriptions()})
	if err != nil {
		return nil, err
	}
	return applier.Apply(ctx, file)
}
