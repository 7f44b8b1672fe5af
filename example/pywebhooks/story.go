package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

const (
	storyTime = 30 * time.Second // it takes about one

	// mostFailures are 250 in PyWebhooks. Here they are those of one trigger.
	mostFailures = 4

	event = "mywebhook.event"
	data  = `{"message": "hello world", "items": [{"item1": 1}, {"item2": 2}]}`

	ada     = "ada"     // registers the event
	bob     = "bob"     // subscribes to it
	mallory = "mallory" // would have others get it
)

type story struct {
	*service

	created   map[string]*subscription.Created // by owner
	endpoints map[string]*endpoint             // by name
	engine    *delivery.Engine
	result    *report
	show      *program.Console
}

func newStory(ctx context.Context, pool *pgxpool.Pool, show *program.Console, result *report) (*story, error) {
	if _, err := pool.Exec(ctx, tables); err != nil {
		return nil, err
	}
	events, err := outbox.New(&outbox.Config{Pool: pool, Strict: true})
	if err != nil {
		return nil, err
	}
	types, err := events.EventTypes()
	if err != nil {
		return nil, err
	}
	keys, err := seal.NewKeyset(seal.NewKey()) // thrown away with the database
	if err != nil {
		return nil, err
	}
	app := &service{
		events: events,
		pool:   pool,
		types:  types,
	}
	checkers, err := access.NewRegistry(nil)
	if err != nil {
		return nil, err
	}
	if err := checkers.Register(registrationKind, app); err != nil {
		return nil, err
	}
	engine, err := delivery.New(pool, &delivery.Config{
		Access: delivery.AccessConfig{Registry: checkers},
		Egress: deliverytest.LocalPolicy(), // the receivers are on this machine; leave it out in production
		Logger: slog.New(slog.DiscardHandler),
		Sealer: keys,
		Verification: delivery.VerificationRules{
			Interval: time.Millisecond, // the story has no time; leave it out in production
			Require:  subscription.VerificationEcho,
			Schedule: delivery.Schedule{Delays: []time.Duration{time.Hour}},
		},
	})
	if err != nil {
		return nil, err
	}
	app.subs = engine.Subscriptions()
	s := &story{
		service:   app,
		created:   map[string]*subscription.Created{},
		endpoints: map[string]*endpoint{},
		engine:    engine,
		result:    result,
		show:      show,
	}
	err = s.listen() //nolint:contextcheck // endpoints last until they are closed
	return s, err
}

func (s *story) close() {
	for _, e := range s.endpoints {
		e.Close()
	}
}

func (s *story) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	for i, act := range []struct {
		title, says string
		play        func(context.Context) error
	}{
		{"An event is registered", "Ada's account owns it. Its data is the same each time.", s.publish},
		{"Others subscribe", "Each endpoint is asked for an echo. That of mallory is somebody else's, and does not know of it.", s.subscribeAll},
		{"The event is triggered", "By its owner alone. Who was not verified gets nothing.", s.hello},
		{"Bob moves", "His new endpoint is asked while the old one is in force, and takes over when it has answered.", s.move},
		{"Bob's endpoint is down", "Four attempts in an hour, as many failures as this story allows; PyWebhooks, 250.", s.fail},
		{"Bob has another endpoint", "It proves itself, and failures are counted from the beginning.", s.recover},
		{"Bob's account is removed", "His subscription goes in the same transaction.", s.remove},
	} {
		s.show.Act(i+1, act.title, act.says)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("act %d: %w", i+1, err)
		}
		s.show.Printf("")
	}
	for name, e := range s.endpoints {
		s.result.Challenges[name], s.result.Posts[name] = e.challenges(), len(e.posts())
	}
	return nil
}

func (s *story) publish(ctx context.Context) error {
	if err := s.createAccount(ctx, ada, s.endpoints["ada's endpoint"].URL()); err != nil {
		return err
	}
	s.show.Printf("%s: %s", event, data)
	return s.register(ctx, ada, event, "This is a test webhook", data)
}

func (s *story) subscribeAll(ctx context.Context) error {
	for _, who := range []string{bob, mallory} {
		name := who + "'s endpoint"
		if err := s.createAccount(ctx, who, s.endpoints[name].URL()); err != nil {
			return err
		}
		s.endpoints[name].echoes.Store(who == bob)
		created, err := s.subscribe(ctx, who, event)
		if err != nil {
			return err
		}
		s.created[who] = created
		s.expectState(ctx, who, subscription.StatePendingVerification)
	}
	if err := s.run(ctx, 0); err != nil {
		return err
	}
	s.expectState(ctx, bob, subscription.StateActive)
	s.expectState(ctx, mallory, subscription.StatePendingVerification)
	return nil
}

func (s *story) hello(ctx context.Context) error {
	_, err := s.trigger(ctx, bob, event)
	s.result.Expectf(errors.Is(err, errNotYours), "bob has triggered ada's event: %v", err)
	s.show.Printf("bob may not: %v", err)
	if err := s.tell(ctx, 0, bob+"'s endpoint"); err != nil {
		return err
	}
	posts := s.endpoints[bob+"'s endpoint"].posts()
	if len(posts) == 0 {
		return errors.New("nothing has come")
	}
	s.show.Printf("event: %s", posts[0].Header.Get("Event"))
	s.show.Printf("%s", posts[0].Body)
	return nil
}

func (s *story) move(ctx context.Context) error {
	const next = "bob's second endpoint"
	s.endpoints[next].echoes.Store(false)
	if err := s.changeEndpoint(ctx, bob, s.endpoints[next].URL()); err != nil {
		return err
	}
	if err := s.tell(ctx, 0, bob+"'s endpoint"); err != nil {
		return err
	}
	s.expectState(ctx, bob, subscription.StateActive)
	s.endpoints[next].echoes.Store(true)
	if err := s.run(ctx, 2*time.Hour); err != nil { // its next turn
		return err
	}
	return s.tell(ctx, 0, next)
}

func (s *story) fail(ctx context.Context) error {
	second := s.endpoints["bob's second endpoint"]
	second.down.Store(true)
	before := len(second.posts())
	if err := s.tell(ctx, 2*time.Hour); err != nil {
		return err
	}
	attempts := len(second.posts()) - before
	s.result.Expectf(attempts == 4, "it was tried %d times, not 4", attempts)
	s.show.Printf("It was tried %d times.", attempts)
	s.expectState(ctx, bob, subscription.StateDeactivated)
	return s.tell(ctx, 0)
}

func (s *story) recover(ctx context.Context) error {
	const third = "bob's third endpoint"
	if err := s.changeEndpoint(ctx, bob, s.endpoints[third].URL()); err != nil {
		return err
	}
	s.expectState(ctx, bob, subscription.StatePendingVerification)
	return s.tell(ctx, 0, third)
}

func (s *story) remove(ctx context.Context) error {
	n, err := s.removeAccount(ctx, bob)
	if err != nil {
		return err
	}
	s.result.Expectf(n == 1, "%d subscriptions were deleted, not 1", n)
	s.show.Printf("%d subscription of bob's was deleted.", n)
	return s.tell(ctx, 0)
}

// listen starts the endpoints.
func (s *story) listen() error {
	for _, name := range []string{
		"ada's endpoint", "bob's endpoint", "bob's second endpoint", "bob's third endpoint", "mallory's endpoint",
	} {
		e, err := startEndpoint()
		if err != nil {
			return err
		}
		s.endpoints[name] = e
	}
	return nil
}

// run does what is due, and what will be within some time, as a started engine does
// by itself.
func (s *story) run(ctx context.Context, ahead time.Duration) error {
	_, err := deliverytest.RunAhead(ctx, s.engine, ahead)
	return err
}

// tell triggers the event and compares which endpoints have got it, well signed, with
// those that were to. Only bob's can.
func (s *story) tell(ctx context.Context, ahead time.Duration, to ...string) error {
	before := map[string]int{}
	for name, e := range s.endpoints {
		before[name] = len(e.posts())
	}
	id, err := s.trigger(ctx, ada, event)
	if err != nil {
		return err
	}
	s.result.Triggered++
	if err := s.run(ctx, ahead); err != nil {
		return err
	}
	var got []string
	for name, e := range s.endpoints {
		posts := e.posts()[before[name]:]
		signed := !slices.ContainsFunc(posts, func(r deliverytest.Request) bool { return !signedBy(s.created[bob].Secret, r) })
		s.result.Expectf(signed, "%s has got what is not well signed", name)
		if len(posts) > 0 && !e.down.Load() {
			got = append(got, name)
		}
	}
	s.result.Expectf(slices.Equal(got, to), "%v have got the event, not %v", got, to)
	explanation, err := s.engine.Explain(ctx, id)
	if err != nil {
		return err
	}
	t := program.NewTable("subscription", "outcome", "why")
	for _, who := range explanation.Subscriptions {
		why := who.Why[strings.LastIndex(who.Why, "; ")+1:]
		t.Add(who.Name, who.Outcome, strings.TrimSpace(why))
	}
	s.show.Printf("%s", strings.TrimSuffix(t.String(), "\n"))
	for _, name := range got {
		s.show.Printf("Well signed, at %s.", name)
	}
	return nil
}

func (s *story) expectState(ctx context.Context, who string, want subscription.State) {
	sub, err := s.subs.Get(ctx, s.created[who].ID)
	if err != nil {
		s.result.Problemf("%s: %v", who, err)
		return
	}
	s.result.Expectf(sub.State == want, "%s: is %s, not %s", who, sub.State, want)
	s.result.States[who] = string(sub.State)
	why := sub.StateReason
	if why == "" {
		why = sub.VerificationError
	}
	if why != "" {
		why = ": " + why
	}
	s.show.Printf("%s is %s%s", who, sub.State, why)
}
