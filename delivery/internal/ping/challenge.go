package ping

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/send"
	"github.com/riverhook/riverhook/delivery/internal/verify"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/internal/notfound"
	"github.com/riverhook/riverhook/subscription"
)

// Challenge is a verify.Send.
func (p *Pinger) Challenge(
	ctx context.Context, c verify.Claim, build func(verify.Endpoint) (dialect.Request, error),
) (got verify.Answer, err error) {
	got.Header, got.Body, err = p.once(ctx, func() (_ *send.Input, built dialect.Request, _ *attempt.Attempt, err error) {
		in, sub, err := p.claimed(ctx, c)
		if err != nil {
			return nil, built, nil, err
		}
		a := attempt.New(&in.Target, time.Now())
		a.Number = c.Tries
		got.Attempt = a
		built, err = build(verify.Endpoint{
			Bare:   func(method string) dialect.Request { return bare(in, method) },
			Method: sub.Verification,
			Post: func(body []byte) (dialect.Request, error) {
				return p.post(ctx, in, a, sample{
					data: body,
					site: sub.Site,
					typ:  event.Challenge,
				})
			},
		})
		return in, built, a, err
	})
	return got, err
}

// bare is a request without a body, with the headers that the subscription adds.
func bare(in *send.Input, method string) dialect.Request {
	header := http.Header{}
	for name, value := range in.Headers() {
		header.Set(name, value)
	}
	header.Set("User-Agent", dialect.DefaultUserAgent)
	return dialect.Request{
		Method: method,
		URL:    in.Sub.URL,
		Header: header,
	}
}

// claimed is the endpoint of a claim, as its subscription is now.
func (p *Pinger) claimed(ctx context.Context, c verify.Claim) (*send.Input, *subscription.Subscription, error) {
	in, sub, _, err := p.read(ctx, c.SubscriptionID, false)
	if err != nil {
		return nil, nil, err
	}
	if cmp.Or(in.Sub.PendingURL, in.Sub.URL) != c.URL {
		return nil, nil, fmt.Errorf("%w: another URL took its place", notfound.Err)
	}
	in.Sub.URL = c.URL
	in.Auth = in.Auth.At(c.URL)
	in.Sub.Timeout = min(cmp.Or(in.Sub.Timeout, p.Requester.Timeout.Default), verify.AnswerTimeout)
	return in, sub, nil
}
