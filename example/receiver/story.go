package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/example/internal/directory"
	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/example/internal/scratch"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/receiver"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

const (
	lookAgain = 20 * time.Millisecond
	stopTime  = 5 * time.Second
	storyTime = 30 * time.Second // it takes about three

	oun = hierarchy.Path("/noaa/nws/oun")
)

// story is the sending process: the directory, its engine, and the receiving process
// that it starts and kills.
type story struct {
	child    *child // nil while there is none
	db       *scratch.Database
	dialects []dialect.Dialect
	engine   *delivery.Engine
	people   *directory.People
	result   *report
	show     *program.Console
	task     task
}

func newStory(ctx context.Context, db *scratch.Database, show *program.Console, result *report) (s *story, err error) {
	events, err := outbox.New(nil)
	if err != nil {
		return nil, err
	}
	token, _ := receiver.NewToken()
	s = &story{
		db:       db,
		dialects: dialect.BuiltIn(),
		people:   &directory.People{Events: events},
		result:   result,
		show:     show,
		task: task{
			Address:  "127.0.0.1:0",
			Database: db.Name(),
			Server:   db.ServerURL(),
			Token:    token,
		},
	}
	if _, err := db.Pool.Exec(ctx, directory.Tables); err != nil {
		return nil, err
	}
	if err := s.newEngine(); err != nil {
		return nil, err
	}
	// It ends by close, not by Ctrl-C: close waits until all is recorded.
	if err := s.engine.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	if err := s.subscribe(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *story) newEngine() error {
	externalizers := &delivery.Externalizers{}
	for name, f := range formats {
		if f.deliveryID == nil {
			continue
		}
		if err := externalizers.Register(name, "user", "**", withID); err != nil {
			return err
		}
	}
	keys, err := seal.NewKeyset(seal.NewKey()) // thrown away with the database
	if err != nil {
		return err
	}
	s.engine, err = delivery.New(s.db.Pool, &delivery.Config{
		Egress:      deliverytest.LocalPolicy(), // the receiving process is on this machine; leave it out in production
		Externalize: delivery.ExternalizeConfig{Registry: externalizers},
		Logger:      slog.New(slog.DiscardHandler),
		Schedules: map[string]delivery.Schedule{
			"quick": {Delays: []time.Duration{500 * time.Millisecond, time.Second, time.Second, 2 * time.Second, 5 * time.Second}},
		},
		Sealer: keys,
	})
	return err
}

// subscribe starts the receiving process and subscribes each of its receivers.
func (s *story) subscribe(ctx context.Context) (err error) {
	secret, err := newSecret()
	if err != nil {
		return err
	}
	s.task.Secret = secret.Reveal()
	if s.child, err = startChild(ctx, s.task); err != nil {
		return err
	}
	s.task.Address = s.child.address() // it comes back there
	for _, d := range s.dialects {
		_, err := s.engine.Subscriptions().Create(ctx, subscription.Spec{
			Name:     d.Name(),
			URL:      s.url(d, s.task.Token),
			Events:   []string{"user.*"},
			Dialect:  d.Name(),
			Schedule: "quick",
			Operator: true,
			Secret:   secret,
		})
		if err != nil {
			return fmt.Errorf("subscribe in the dialect %s: %w", d.Name(), err)
		}
	}
	return nil
}

// url is that of the receiver of a dialect; only those that do not sign have the token.
func (s *story) url(d dialect.Dialect, token string) string {
	url := "http://" + s.task.Address + "/" + d.Name()
	if formats[d.Name()].verifier == nil {
		url += "/" + token
	}
	return url
}

// close ends both processes. It has a time of its own: what the program was
// interrupted by must not interrupt this.
func (s *story) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := s.engine.Stop(ctx)
	if s.child != nil {
		err = errors.Join(err, s.child.end())
	}
	return err
}
