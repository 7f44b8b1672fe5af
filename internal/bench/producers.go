package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/outbox"
)

// producers commit one event a transaction, one after the other, until they are
// told to end.
type producers struct {
	of        *ourDelivery
	before    int
	committed atomic.Int64
	pool      *pgxpool.Pool
	ready     chan struct{}
	stop      context.CancelFunc
	running   sync.WaitGroup
	errs      []error
}

// startProducers makes n producers that wait for begin; n may be 0.
func (o *ourDelivery) startProducers(ctx context.Context, n int) (*producers, error) {
	p := &producers{
		of:    o,
		ready: make(chan struct{}),
		stop:  func() {},
		errs:  make([]error, n),
	}
	if n == 0 {
		return p, nil
	}
	var err error
	if p.before, err = o.bench.receiver.count(ctx, o.liveBook()); err != nil {
		return nil, err
	}
	if p.pool, err = openPool(ctx, o.pool.Config().ConnString(), n); err != nil {
		return nil, err
	}
	runCtx, stop := context.WithCancel(ctx)
	p.stop = stop
	for i := range n {
		p.running.Go(func() { p.errs[i] = p.produce(runCtx) })
	}
	return p, nil
}

func (p *producers) begin() { close(p.ready) }

func (p *producers) produce(ctx context.Context) error {
	<-p.ready
	for ctx.Err() == nil {
		// A transaction that has begun is finished: an abandoned commit would be of unknown outcome.
		err := pgx.BeginFunc(context.WithoutCancel(ctx), p.pool, func(tx pgx.Tx) error {
			_, err := p.of.client.Enqueue(context.WithoutCancel(ctx), tx, outbox.Intent{Type: p.of.liveType(), Data: payload})
			return err
		})
		if err != nil {
			return err
		}
		p.committed.Add(1)
	}
	return nil
}

// end returns how many of the producers' deliveries had arrived when it was
// called, and waits until all of them have.
func (p *producers) end(ctx context.Context) (int, error) {
	if p.pool == nil {
		return 0, nil
	}
	arrived, err := p.of.bench.receiver.count(ctx, p.of.liveBook())
	p.stop()
	p.running.Wait()
	p.pool.Close()
	if err := errors.Join(append(p.errs, err)...); err != nil {
		return 0, err
	}
	err = p.of.bench.receiver.waitFor(ctx, p.of.liveBook(), p.before+int(p.committed.Load())*p.of.fanout)
	return arrived - p.before, errors.Join(err, settled(ctx, p.of.pool))
}
