package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/directory"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

const (
	maxData  = 64 << 20 // what Riverhook allows at most: payloads come as they are
	maxBody  = maxData + 1<<20
	stopTime = 5 * time.Second
)

// world is the running application: its repository, the engine, and those who
// are told.
type world struct {
	engine  *delivery.Engine
	people  *directory.People
	pool    *pgxpool.Pool
	members []*member
}

// newWorld sets up what an application sets up once, at its start.
func newWorld(ctx context.Context, pool *pgxpool.Pool) (w *world, err error) {
	events, err := outbox.New(&outbox.Config{MaxDataBytes: maxData})
	if err != nil {
		return nil, err
	}
	w = &world{people: &directory.People{Events: events}, pool: pool}
	if _, err := pool.Exec(ctx, directory.Tables); err != nil {
		return nil, fmt.Errorf("create the directory's tables: %w", err)
	}
	if w.engine, err = newEngine(pool); err != nil {
		return nil, err
	}
	// It ends by close, not by Ctrl-C: close waits until all is recorded.
	if err := w.engine.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	for _, r := range cast() {
		if err := w.subscribe(ctx, r); err != nil {
			return nil, errors.Join(fmt.Errorf("subscribe the %s: %w", r.name, err), w.close(ctx))
		}
	}
	return w, nil
}

func newEngine(pool *pgxpool.Pool) (*delivery.Engine, error) {
	checkers, err := access.NewRegistry(nil)
	if err != nil {
		return nil, err
	}
	if err := checkers.Register("user", viewers{pool: pool}); err != nil {
		return nil, err
	}
	payroll, err := newPayrollDialect()
	if err != nil {
		return nil, err
	}
	dialects, err := dialect.NewRegistry(dialect.Standard(), payroll)
	if err != nil {
		return nil, err
	}
	// The database is thrown away at the end, and so is the key. In production it
	// is the text of a secret that all processes have: seal.ParseKeyset.
	keys, err := seal.NewKeyset(seal.NewKey())
	if err != nil {
		return nil, err
	}
	return delivery.New(pool, &delivery.Config{
		Access:   delivery.AccessConfig{Registry: checkers},
		Dialects: dialects,
		Egress:   deliverytest.LocalPolicy(), // the receivers are on this machine; leave it out in production
		Logger:   slog.New(slog.DiscardHandler),

		Limits: delivery.Limits{RequestBytes: 2 * maxData},
		Schedules: map[string]delivery.Schedule{
			"quick": {Delays: []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second}},
		},
		Sealer: keys,
	})
}

// subscribe starts a receiver for r and subscribes it.
func (w *world) subscribe(ctx context.Context, r role) error {
	verifier := dialect.StandardVerifier(nil)
	if r.verifier != nil {
		verifier = r.verifier
	}
	//nolint:contextcheck // it lasts until it is closed
	receiver, err := deliverytest.StartReceiver(&deliverytest.ReceiverConfig{MaxBody: maxBody, Verifier: verifier})
	if err != nil {
		return err
	}
	m := &member{role: r, receiver: receiver}
	w.members = append(w.members, m)
	const insert = `INSERT INTO directory.principal (id, sees, confidential) VALUES ($1, $2, $3)`
	if !r.operator {
		if _, err := w.pool.Exec(ctx, insert, r.principal(), r.site, r.confidential); err != nil {
			return err
		}
	}
	spec := subscription.Spec{
		Name:     r.name,
		Site:     r.site,
		URL:      receiver.URL(),
		Events:   r.events,
		Dialect:  r.dialect,
		Schedule: r.schedule,
		Operator: r.operator,
	}
	if !r.operator {
		spec.Owner = r.principal()
	}
	created, err := w.engine.Subscriptions().Create(ctx, spec)
	if err != nil {
		return err
	}
	m.sub = created.Subscription
	return receiver.Trust(created.Secret)
}

// close stops the engine before its receivers. It has a time of its own: what
// the program was interrupted by must not interrupt this.
func (w *world) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := w.engine.Stop(ctx)
	for _, m := range w.members {
		m.receiver.Close()
	}
	return err
}
