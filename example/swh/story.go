package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/riverhook/riverhook/delivery"
	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/example/internal/program"
	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/seal"
	"github.com/riverhook/riverhook/subscription"
)

const (
	storyTime = 30 * time.Second // it takes less than one

	zlib   = "https://example.org/zlib"
	kernel = "https://example.org/kernel"
	noon   = "2026-01-31T12:00:00Z"
	tree   = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

	registry     = "registry"
	zlibMirror   = "zlib mirror"
	kernelMirror = "kernel mirror"
)

type story struct {
	archive   *archive
	engine    *delivery.Engine
	followers map[string]*follower
	result    *report
	show      *program.Console
	types     *outbox.EventTypes
}

func newStory(ctx context.Context, pool *pgxpool.Pool, show *program.Console, result *report) (*story, error) {
	if _, err := pool.Exec(ctx, tables); err != nil {
		return nil, err
	}
	// With a pool the client knows the event types, and Strict takes no others.
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
	engine, err := delivery.New(pool, &delivery.Config{
		Egress: deliverytest.LocalPolicy(), // the receivers are on this machine; leave it out in production
		Logger: slog.New(slog.DiscardHandler),
		Sealer: keys,
	})
	return &story{
		archive:   &archive{events: events, pool: pool},
		engine:    engine,
		followers: map[string]*follower{},
		result:    result,
		show:      show,
		types:     types,
	}, err
}

func (s *story) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	for i, act := range []struct {
		title, says string
		play        func(context.Context) error
	}{
		{"Event types are registered", "One has a JSON Schema that is derived from a Go type, one that is written down.", s.register},
		{"Others subscribe", "The registry follows all that the archive says, the mirrors one origin each.", s.subscribe},
		{"Origins are created and visited", "The archive writes each event in the transaction of its change.", s.follow},
		{"A loader reports nonsense", "What is not as the schema says is refused before the commit, and the archive's row with it.", s.violate},
		{"A second version of the schema", "The next release says which tree it has found. Programs of the former one go on.", s.evolve},
		{"The zlib mirror's secret is rotated", "For a day requests are signed with both secrets: it changes over when it likes.", s.rotate},
		{"The history is asked", "By subscription, type and channel, in pages and by time, newest first.", s.history},
		{"An event type is deleted", "That is, archived: nothing new of it is taken, and what there was of it can be looked up.", s.archiveType},
	} {
		s.show.Act(i+1, act.title, act.says)
		if err := act.play(ctx); err != nil {
			return fmt.Errorf("act %d: %w", i+1, err)
		}
		s.show.Printf("")
	}
	return nil
}

func (s *story) register(ctx context.Context) error {
	types, err := eventTypes(visit1)
	if err != nil {
		return err
	}
	if err := s.types.Register(ctx, types...); err != nil {
		return err
	}
	return s.listTypes(ctx)
}

func (s *story) subscribe(ctx context.Context) error {
	t := program.NewTable("subscription", "hears", "on the channel", "contact")
	for _, spec := range []subscription.Spec{
		{
			Name:     registry,
			Events:   []string{originChange},
			Metadata: map[string]string{"contact": "registry@example.org"},
		},
		{
			Name:     zlibMirror,
			Events:   []string{originVisit},
			Channels: []string{zlib},
		},
		{
			Name:     kernelMirror,
			Events:   []string{"origin.*"},
			Channels: []string{kernel},
		},
	} {
		receiver, err := deliverytest.StartReceiver(nil) //nolint:contextcheck // it lasts until it is closed
		if err != nil {
			return err
		}
		f := &follower{receiver: receiver}
		s.followers[spec.Name] = f
		spec.URL, spec.Operator = receiver.URL(), true
		if f.created, err = s.engine.Subscriptions().Create(ctx, spec); err != nil {
			return err
		}
		if err := receiver.Trust(f.created.Secret); err != nil {
			return err
		}
		t.Add(spec.Name, strings.Join(spec.Events, " "), strings.Join(spec.Channels, " "), spec.Metadata["contact"])
	}
	s.table(t)
	return nil
}

func (s *story) follow(ctx context.Context) error {
	return errors.Join(
		s.create(ctx, zlib, registry),
		s.create(ctx, kernel, registry, kernelMirror),
		s.visit(ctx, visit{zlib, 1, noon, "full", ""}, 0, registry, zlibMirror),
		s.visit(ctx, visit{kernel, 1, noon, "partial", ""}, 0, registry, kernelMirror),
	)
}

func (s *story) violate(ctx context.Context) error {
	before, err := s.archive.size(ctx)
	if err != nil {
		return err
	}
	for _, nonsense := range []visit{
		{zlib, 2, noon, "mostly", ""},
		{zlib, 2, "yesterday", "full", ""},
		{zlib, 2, noon, "full", tree}, // there is no such property yet
	} {
		_, err := s.archive.visit(ctx, nonsense, 0)
		s.refused(err)
	}
	after, err := s.archive.size(ctx)
	s.result.Expectf(before == after, "visits that were refused left something: %s, then %s", before, after)
	s.show.Printf("Before: %s. After: %s.", before, after)
	return err
}

func (s *story) evolve(ctx context.Context) error {
	types, err := eventTypes(visit1, visit2)
	if err != nil {
		return err
	}
	if err := s.types.Register(ctx, types...); err != nil {
		return err
	}
	_, err = s.archive.visit(ctx, visit{zlib, 2, noon, "full", ""}, 0)
	s.refused(err)
	return errors.Join(
		s.listTypes(ctx),
		s.visit(ctx, visit{zlib, 2, noon, "full", tree}, 0, registry, zlibMirror),
		s.visit(ctx, visit{zlib, 3, noon, "full", ""}, 1, registry, zlibMirror), // of a program that was not updated
	)
}

func (s *story) rotate(ctx context.Context) error {
	f, subs := s.followers[zlibMirror], s.engine.Subscriptions()
	secrets, err := subs.ListSecrets(ctx, f.created.ID)
	if err != nil {
		return err
	}
	next, err := subs.RotateSecret(ctx, f.created.ID, nil)
	if err != nil {
		return err
	}
	signed := func(number int, byFormer bool) error {
		err := s.visit(ctx, visit{zlib, number, noon, "full", tree}, 0, registry, zlibMirror)
		former, now := f.verifies(f.created.Secret), f.verifies(next)
		s.result.Expectf(now && former == byFormer, "visit %d: verified by the former secret: %t, by the next: %t", number, former, now)
		s.show.Printf("%-11sverified by the former secret alone: %t, by the next alone: %t", "", former, now)
		return err
	}
	if err := errors.Join(signed(4, true), f.receiver.Trust(next), subs.RevokeSecret(ctx, f.created.ID, secrets[0].ID)); err != nil {
		return err
	}
	s.show.Printf("The mirror has the next one, and the former is revoked.")
	return signed(5, false)
}

func (s *story) history(ctx context.Context) error {
	id, mirror := s.followers[registry].created.ID, s.followers[kernelMirror].created.ID
	listed, err := s.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{SubscriptionID: id})
	if err != nil {
		return err
	}
	newest, err := s.engine.History().Deliveries(ctx, &delivery.DeliveryFilter{SubscriptionID: id, Limit: 3})
	if err != nil {
		return err
	}
	all := listed.Deliveries
	if len(all) != len(s.result.Sent) {
		return fmt.Errorf("%d deliveries to the registry", len(all))
	}
	t := program.NewTable("of", "which", "events")
	for _, ask := range []struct {
		of, which string
		filter    delivery.DeliveryFilter
		want      string
	}{
		{registry, "the newest 3", delivery.DeliveryFilter{SubscriptionID: id, Limit: 3}, "zlib-5 zlib-4 zlib-3"},
		{registry, "3 before these", delivery.DeliveryFilter{
			SubscriptionID: id,
			Limit:          3,
			Cursor:         newest.Next,
		}, "zlib-2 kernel-1 zlib-1"},
		{registry, "from a time on", delivery.DeliveryFilter{SubscriptionID: id, Since: all[1].CreatedAt}, "zlib-5 zlib-4"},
		{registry, "before a time", delivery.DeliveryFilter{SubscriptionID: id, Until: all[5].CreatedAt}, "new-kernel new-zlib"},
		{kernelMirror, "its visits", delivery.DeliveryFilter{
			SubscriptionID: mirror,
			EventType:      originVisit,
			Channel:        kernel,
		}, "kernel-1"},
	} {
		page, err := s.engine.History().Deliveries(ctx, &ask.filter)
		if err != nil {
			return err
		}
		var events []string
		for _, d := range page.Deliveries {
			events = append(events, d.IntentID)
		}
		got := strings.Join(events, " ")
		s.result.Expectf(got == ask.want, "the history of %s, %s: %s", ask.of, ask.which, got)
		t.Add(ask.of, ask.which, got)
	}
	s.table(t)
	return nil
}

func (s *story) archiveType(ctx context.Context) error {
	if err := s.types.Archive(ctx, originVisit); err != nil {
		return err
	}
	_, err := s.archive.visit(ctx, visit{zlib, 6, noon, "full", tree}, 0)
	s.refused(err)
	if _, err := s.engine.Prune(ctx); err != nil { // a started engine does so once a minute
		return err
	}
	past, err := s.engine.History().Intent(ctx, "zlib-1")
	if err != nil {
		return err
	}
	s.result.Expectf(past.Payload == delivery.PayloadHashed, "the data of zlib-1 is %s", past.Payload)
	s.show.Printf("zlib-1 is %s; of its data the hash is kept, as its type was registered.", past.State)
	return s.listTypes(ctx)
}
