package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/receiver"
)

const (
	budget    = "budget"
	onCall    = "on call"
	dashboard = "dashboard"

	affordable = 6 // replicas
)

// listen starts the receiver of each webhook. They verify X-Servo-Signature.
func (s *story) listen() (err error) {
	for name, answer := range map[string]func(deliverytest.Request) deliverytest.Answer{
		budget: s.judge, onCall: nil, dashboard: nil,
	} {
		s.receivers[name], err = deliverytest.StartReceiver(&deliverytest.ReceiverConfig{
			Answer: answer, Verifier: dialect.ServoVerifier{},
		})
		if err != nil {
			return err
		}
	}
	return nil
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
		return deliverytest.Answer{Status: no.Status, Header: http.Header{"Content-Type": {dialect.ContentTypeServoCancel}}, Body: no.Body}
	}
	return deliverytest.Answer{}
}

// configure subscribes the webhooks.
func (s *story) configure(ctx context.Context) error {
	for _, spec := range []hierarchy.SubscriptionSpec{
		{Name: budget, Events: []string{"before:adjust"}},
		{Name: onCall, Events: []string{"before:*"}, FailClosed: true},
		{Name: dashboard, Events: []string{"after.adjust"}, Schedule: "servo"},
	} {
		r := s.receivers[spec.Name]
		spec.URL, spec.Operator, spec.Dialect = r.URL(), true, "servo"
		created, err := s.optimizer.engine.Subscriptions().Create(ctx, spec)
		if err != nil {
			return err
		}
		if err := r.Trust(created.Secret.Reveal()); err != nil {
			return err
		}
	}
	return nil
}
