package main

import (
	"context"
	"sync"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/subscription"
)

// responseChannel is the metadata of a webhook that names where its answers go.
const responseChannel = "response_channel"

// published is an answer on a channel.
type published struct {
	Channel     string
	ContentType string
	Body        string
}

// channels are those of servo's pub/sub, which a real application has: here they only
// keep what is published.
type channels struct {
	subscriptions *subscription.Store

	mu   sync.Mutex
	all  []published
	errs []error
}

// handOn publishes what a webhook has answered, where it has a channel for that. It is
// the engine's hook.
func (c *channels) handOn(ctx context.Context, ev delivery.DeliveredEvent) {
	if ev.ContentType == "" || len(ev.Body) == 0 {
		return
	}
	sub, err := c.subscriptions.Get(ctx, ev.SubscriptionID)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.errs = append(c.errs, err)
		return
	}
	if name := sub.Metadata[responseChannel]; name != "" {
		c.all = append(c.all, published{name, ev.ContentType, string(ev.Body)})
	}
}

// take returns what was published since it was called last.
func (c *channels) take() (all []published, errs []error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all = c.all
	errs = c.errs
	c.all = nil
	c.errs = nil
	return all, errs
}
